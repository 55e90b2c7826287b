"""Waiting for services that are away, with an event loop and without."""

import asyncio

import pytest

from xenolith.client import Options
from xenolith.client.transport.endpoint import Endpoint
from xenolith.client.transport.retry import AWAY, DOUBTFUL, ENDING, Absence, RetryPolicy
from xenolith.client.transport.service_async import AsyncService
from xenolith.client.transport.service_sync import Service
from xenolith.contract.unreachable import unreachable
from xenolith.errors import (
    CancelledError,
    DeadlineError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    OverloadedError,
    UnavailableError,
)

ORACLE = Endpoint(name="oracle", address="127.0.0.1:9")


def unattended(limit_s=60.0, **options):
    """The policy of a training run, with pauses of a test."""
    return RetryPolicy(
        limit_s=limit_s,
        away=(*AWAY, *ENDING),
        doubtful=DOUBTFUL,
        advice="start it again, then resume the run",
        first_pause_s=0.001,
        longest_pause_s=0.002,
        **options,
    )


def outcomes(*results):
    """An attempt that gives these one after the other, the last again and again."""
    queue = list(results)

    def attempt():
        result = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(result, Exception):
            raise result
        return result

    return attempt


@pytest.fixture(params=["sync", "async"])
def call(request):
    """Makes the attempts of one call under a policy."""

    def run(attempt, policy):
        if request.param == "sync":
            with Service(ORACLE, Options()) as service:
                return service.repeat(attempt, policy)
        return asyncio.run(in_loop(attempt, policy))

    async def in_loop(attempt, policy):
        async def begin():
            return attempt()

        async with AsyncService(ORACLE, Options()) as service:
            return await service.repeat(begin, policy)

    return run


def test_an_absence_is_waited_for_and_told_once(call):
    heard = []
    away = UnavailableError("nobody there")
    policy = unattended(on_wait=heard.append, on_return=lambda: heard.append("back"))
    assert call(outcomes(away, away, away, "here"), policy) == "here"
    assert heard == ["waiting for the oracle: nobody there; the work goes on once it is back", "back"]


def test_an_absence_that_lasts_is_told_again_with_how_long_it_has_lasted(monkeypatch):
    heard, now = [], [1000.0]
    monkeypatch.setattr("xenolith.client.transport.retry.time.monotonic", lambda: now[0])
    absence = Absence(unattended(3600.0, on_wait=heard.append), "oracle")
    for now[0] in (1000.0, 1005.0, 1012.0, 1030.0, 1061.0, 1300.0, 1400.0):
        absence.pause_after(UnavailableError("nobody there"))
    since = [line.split(":")[0] for line in heard]
    assert since == [
        f"waiting for the oracle{text}" for text in ("", " since 12 s", " since 61 s", " since 400 s")
    ]
    absence.over()
    absence.pause_after(UnavailableError("gone again"))
    assert heard[-1].startswith("waiting for the oracle: gone again")


def test_an_absence_beyond_the_limit_says_what_to_do(call):
    with pytest.raises(UnavailableError, match="away for 0 s; start it again, then resume"):
        call(outcomes(UnavailableError("nobody there")), unattended(0.01))


def test_a_service_that_cannot_be_reached_is_named_in_plain_words(call):
    lost = unreachable("Connection refused", service="oracle", address="127.0.0.1:9")
    heard = []
    with pytest.raises(UnavailableError) as caught:
        call(outcomes(lost), unattended(0.01, on_wait=heard.append))
    assert heard == [
        "waiting for the oracle: no oracle answers at 127.0.0.1:9; the work goes on once it is back"
    ]
    assert str(caught.value).endswith("then resume the run (no oracle answers at 127.0.0.1:9)")


@pytest.mark.parametrize("error", [InvalidArgumentError("bad"), FailedPreconditionError("other policy")])
def test_what_waiting_does_not_cure_is_raised_at_once(call, error):
    with pytest.raises(type(error)):
        call(outcomes(error, "never reached"), unattended())


def test_a_fault_that_stays_is_raised_after_three_attempts(call):
    fault = InternalError("bug")
    assert call(outcomes(fault, fault, "cured"), unattended()) == "cured"
    with pytest.raises(InternalError):
        call(outcomes(fault, fault, fault, "too late"), unattended())


@pytest.mark.parametrize(
    "error", [CancelledError("by hand"), DeadlineError("too late"), InternalError("bug")]
)
def test_where_somebody_sits_at_the_call_what_he_did_himself_is_not_waited_out(call, error):
    with pytest.raises(type(error)):
        call(outcomes(error, "never reached"), RetryPolicy(limit_s=60.0, first_pause_s=0.001))


def test_without_advice_a_service_that_stays_away_speaks_for_itself(call):
    error = UnavailableError("going away")
    for limit_s in (0.0, 0.01):
        with pytest.raises(UnavailableError) as caught:
            call(outcomes(error), RetryPolicy(limit_s=limit_s, first_pause_s=0.001, longest_pause_s=0.002))
        assert caught.value is error


def test_pauses_grow_up_to_the_longest_and_begin_anew_once_the_service_answered():
    absence = Absence(RetryPolicy(limit_s=60.0, first_pause_s=1.0, longest_pause_s=5.0), "oracle")
    error = UnavailableError("gone")
    for usual in (1.0, 2.5, 5.0, 5.0):
        assert absence.pause_after(error) == pytest.approx(usual, rel=0.21)
    absence.over()
    assert absence.pause_after(error) == pytest.approx(1.0, rel=0.21)


def test_an_overloaded_service_says_when_to_come_again_within_reason():
    policy = RetryPolicy(limit_s=60.0, first_pause_s=0.1, longest_pause_s=5.0)
    assert Absence(policy, "oracle").pause_after(OverloadedError("busy", retry_after_s=3.0)) == 3.0
    assert Absence(policy, "oracle").pause_after(OverloadedError("busy", retry_after_s=3600.0)) == 5.0
