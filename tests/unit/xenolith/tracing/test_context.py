"""What a call belongs to, read from and written as W3C Trace Context."""

import pytest

from xenolith.client.transport.endpoint import call_metadata
from xenolith.client.transport.options import Options
from xenolith.tracing import CallContext, TraceContext, belonging_to, span

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_place_in_a_trace_is_read_and_passed_on_as_it_came() -> None:
    sent = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "congo=t61rcWkgMzE"}
    place = TraceContext.received(sent)
    assert place == TraceContext(trace_id=TRACE, span_id=SPAN, sampled=True, state="congo=t61rcWkgMzE")
    assert dict(place.metadata()) == sent


def test_who_is_not_to_record_is_told_so() -> None:
    place = TraceContext.received({"traceparent": f"00-{TRACE}-{SPAN}-00"})
    assert place is not None
    assert not place.sampled
    assert dict(place.metadata())["traceparent"].endswith("-00")


def test_later_versions_of_the_standard_are_read_as_far_as_this_one_goes() -> None:
    place = TraceContext.received({"traceparent": f"01-{TRACE}-{SPAN}-01-more"})
    assert place is not None
    assert (place.trace_id, place.span_id) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
    ],
)
def test_what_the_standard_does_not_allow_is_no_place(text: str) -> None:
    assert TraceContext.received({"traceparent": text}) is None


@pytest.mark.parametrize("state", ["x" * 513, "a=\u00e9", "a=\n"])
def test_notes_that_could_not_be_passed_on_are_dropped(state: str) -> None:
    place = TraceContext.received({"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": state})
    assert place is not None
    assert place.state == ""


def test_calls_carry_what_the_call_being_served_belongs_to() -> None:
    place = TraceContext(trace_id=TRACE, span_id=SPAN)
    with belonging_to(CallContext(request_id="r1", run_id="run-7", trace=place)):
        assert dict(call_metadata(Options())) == {
            "x-request-id": "r1",
            "x-run-id": "run-7",
            "traceparent": f"00-{TRACE}-{SPAN}-01",
        }
        assert dict(call_metadata(Options(run_id="other")))["x-run-id"] == "other"
    ids = {dict(call_metadata(Options()))["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


def test_where_nothing_records_work_keeps_its_place() -> None:
    place = TraceContext(trace_id=TRACE, span_id=SPAN)
    with belonging_to(CallContext(trace=place)), span("work") as measured:
        assert measured.context == place
        assert not measured.recorded
    with span("first") as first, span("second") as second:
        assert first.context.trace_id != second.context.trace_id
