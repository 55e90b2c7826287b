"""ScoreStream: batches as they come."""

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import grpc

from xenolith.conformance.check import Collection, Failure, expect, fail
from xenolith.conformance.comparison import differences
from xenolith.conformance.lab import Lab
from xenolith.conformance.words import described
from xenolith.contract.errors import error_from_call
from xenolith.v1 import oracle_pb2

__all__ = ["CHECKS"]

CHECKS = Collection("stream")
_VALIDITY = oracle_pb2.COMPONENT_VALIDITY
_INVALID = grpc.StatusCode.INVALID_ARGUMENT.value[0]


def _item(number: int, request: oracle_pb2.ScoreRequest) -> oracle_pb2.ScoreStreamRequest:
    return oracle_pb2.ScoreStreamRequest(batch_id=number, request=request)


def _open(lab: Lab, items: Iterable[oracle_pb2.ScoreStreamRequest]) -> Any:
    lab.last_request = "ScoreStream"
    return lab.stub.ScoreStream(iter(items), timeout=lab.timeout_s, metadata=lab.metadata())


def _all(lab: Lab, items: list[oracle_pb2.ScoreStreamRequest]) -> list[oracle_pb2.ScoreStreamResponse]:
    stream = _open(lab, items)
    if items:
        lab.last_request = f"ScoreStream of {len(items)} batches, the first: {described(items[0])}"
    try:
        return list(stream)
    except grpc.RpcError as caught:
        error = error_from_call(caught)
        raise Failure(f"the stream ended as {error.code.name}: {error}") from error


@CHECKS.check("every-batch-once", "Every batch is answered once, under its own batch_id.")
def _once(lab: Lab) -> None:
    numbers = [7, 2**63, 1, 0, 12345678901]
    answers = _all(lab, [_item(number, lab.request([lab.good], [_VALIDITY])) for number in numbers])
    got = [answer.batch_id for answer in answers]
    expect(sorted(got) == sorted(numbers), f"sent batches {sorted(numbers)}, answered were {sorted(got)}")
    for answer in answers:
        expect(answer.WhichOneof("result") == "response", f"batch {answer.batch_id} has no response")


@CHECKS.check("same-scores", "A batch on a stream gets the scores that Score gives it.")
def _same(lab: Lab) -> None:
    answers = _all(
        lab,
        [_item(index, lab.request([crystal], lab.components)) for index, crystal in enumerate(lab.crystals)],
    )
    for answer in answers:
        expect(answer.WhichOneof("result") == "response", f"batch {answer.batch_id}: {answer.error.message}")
        before = lab.baseline.scores[answer.batch_id]
        found = differences(before, answer.response.scores[0], energy_tolerance=lab.settings.energy_tolerance)
        expect(not found, f"{before.formula} by Score and by ScoreStream: {'; '.join(found)}")
        digests = {answer.response.provenance.settings_digest, lab.baseline.provenance.settings_digest}
        expect(len(digests) == 1, f"Score and ScoreStream have different settings digests: {digests}")


@CHECKS.check("bad-batch", "A batch that cannot be scored is answered with an error, and the stream goes on.")
def _bad(lab: Lab) -> None:
    wrong = lab.request([lab.good], [_VALIDITY])
    wrong.crystals.numbers.append(8)
    good = lab.request([lab.good], [_VALIDITY])
    answers = {
        answer.batch_id: answer
        for answer in _all(lab, [_item(1, good), _item(2, wrong), _item(3, good), _item(4, good)])
    }
    expect(sorted(answers) == [1, 2, 3, 4], f"sent batches 1 to 4, answered were {sorted(answers)}")
    for number in (1, 3, 4):
        expect(
            answers[number].WhichOneof("result") == "response",
            f"batch {number} is good, and is answered with an error: {answers[number].error.message}",
        )
    expect(
        answers[2].WhichOneof("result") == "error", "a batch whose columns do not fit is answered with scores"
    )
    error = answers[2].error
    expect(
        error.code == _INVALID,
        f"the error's code is {error.code} ({error.message}), expected {_INVALID}, INVALID_ARGUMENT",
    )
    expect(
        list(error.field_violations) == ["crystals.numbers"],
        f"the error names {dict(error.field_violations) or 'no field'}, expected crystals.numbers",
    )


@CHECKS.check(
    "while-open", "A batch is answered while the stream is still open, without waiting for the next."
)
def _while_open(lab: Lab) -> None:
    answered = threading.Event()

    def batches() -> Iterator[oracle_pb2.ScoreStreamRequest]:
        yield _item(1, lab.request([lab.good], [_VALIDITY]))
        answered.wait(lab.timeout_s)
        yield _item(2, lab.request([lab.good], [_VALIDITY]))

    stream = _open(lab, batches())
    try:
        first = next(stream, None)
        answered.set()
        rest = list(stream)
    except grpc.RpcError as error:
        fail(f"the stream ended as {error.code().name} before it was closed")
    finally:
        answered.set()
    expect(first is not None and first.batch_id == 1, "the first batch was not answered first")
    expect([answer.batch_id for answer in rest] == [2], "the second batch was not answered once")


@CHECKS.check("empty", "A stream that is closed without a batch ends well.")
def _empty(lab: Lab) -> None:
    answers = _all(lab, [])
    expect(not answers, f"nothing was sent, and {len(answers)} answers came")


@CHECKS.check("cancelled", "A stream that is cancelled leaves the service as it was.")
def _cancelled(lab: Lab) -> None:
    stream = _open(lab, [_item(index, lab.request([lab.good], [_VALIDITY])) for index in range(20)])
    next(stream, None)
    stream.cancel()
    lab.alive()
