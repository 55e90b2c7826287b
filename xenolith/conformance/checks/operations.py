"""Scorings that outlive their call."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import grpc

from xenolith.conformance.check import Collection, expect, skip
from xenolith.conformance.comparison import differences
from xenolith.conformance.crystals import strained
from xenolith.conformance.lab import Lab
from xenolith.contract.states import OPERATION_ENDED
from xenolith.errors import XenolithError
from xenolith.v1 import crystal_pb2, oracle_pb2

__all__ = ["CHECKS"]

CHECKS = Collection("operations")
_SUCCEEDED, _FAILED, _CANCELLED = (
    oracle_pb2.OPERATION_STATE_SUCCEEDED,
    oracle_pb2.OPERATION_STATE_FAILED,
    oracle_pb2.OPERATION_STATE_CANCELLED,
)
_VALIDITY = oracle_pb2.COMPONENT_VALIDITY
_PATIENCE_S = 5


def _calls(lab: Lab) -> dict[str, tuple[Callable[..., Any], Any]]:
    return {
        "SubmitScore": (lab.stub.SubmitScore, oracle_pb2.SubmitScoreRequest()),
        "GetOperation": (lab.stub.GetOperation, oracle_pb2.GetOperationRequest(operation_id="x")),
        "WaitOperation": (lab.stub.WaitOperation, oracle_pb2.WaitOperationRequest(operation_id="x")),
        "CancelOperation": (lab.stub.CancelOperation, oracle_pb2.CancelOperationRequest(operation_id="x")),
    }


def _needed(lab: Lab) -> None:
    if not lab.description.supports_operations:
        skip("this oracle serves no operations")


def _submit(lab: Lab, request: oracle_pb2.ScoreRequest, key: str = "") -> oracle_pb2.Operation:
    message = oracle_pb2.SubmitScoreRequest(request=request, idempotency_key=key)
    operation: oracle_pb2.Operation = lab.call(lab.stub.SubmitScore, message).operation
    expect(operation.id, "the operation has no id")
    return operation


def _wait(lab: Lab, operation: oracle_pb2.Operation) -> oracle_pb2.Operation:
    """Wait until it is done, in portions."""
    until = time.monotonic() + lab.timeout_s
    message = oracle_pb2.WaitOperationRequest(operation_id=operation.id)
    message.timeout.FromSeconds(_PATIENCE_S)
    done = 0
    while operation.state not in OPERATION_ENDED:
        expect(time.monotonic() < until, f"operation {operation.id} is not done after {lab.timeout_s:g} s")
        operation = lab.call(lab.stub.WaitOperation, message).operation
        expect(
            done <= operation.structures_done <= operation.structures_total,
            f"structures_done: {done}, then {operation.structures_done} of {operation.structures_total}",
        )
        done = operation.structures_done
    return operation


@CHECKS.check(
    "not-served", "Where operations are not served they are UNIMPLEMENTED, and Score is pointed to."
)
def _not_served(lab: Lab) -> None:
    if lab.description.supports_operations:
        skip("this oracle serves operations")
    for name, (method, message) in _calls(lab).items():
        error = lab.refusal(method, message)
        expect(
            error.code == grpc.StatusCode.UNIMPLEMENTED,
            f"{name} ended as {error.code.name} ({error}), expected UNIMPLEMENTED",
        )
        expect("Score" in str(error), f"{name} does not say what to use instead: {error}")


@CHECKS.check("result", "An operation succeeds with the scores that Score gives.")
def _result(lab: Lab) -> None:
    _needed(lab)
    operation = _wait(lab, _submit(lab, lab.request(lab.crystals, lab.components)))
    name = oracle_pb2.OperationState.Name(operation.state)
    expect(operation.state == _SUCCEEDED, f"the operation ended as {name}: {operation.error.message}")
    expect(operation.WhichOneof("result") == "response", "the operation succeeded without a response")
    count = len(lab.crystals)
    expect(
        operation.structures_total == operation.structures_done == count,
        f"{operation.structures_done} of {operation.structures_total} structures are done, sent were {count}",
    )
    for before, after in zip(lab.baseline.scores, operation.response.scores, strict=True):
        found = differences(before, after, energy_tolerance=lab.settings.energy_tolerance)
        expect(not found, f"{before.formula} by Score and by SubmitScore: {'; '.join(found)}")
    for early, late in (
        ("create_time", "start_time"),
        ("start_time", "end_time"),
        ("end_time", "expire_time"),
    ):
        a, b = getattr(operation, early), getattr(operation, late)
        expect(a.ToNanoseconds() <= b.ToNanoseconds(), f"{early} is after {late}")
    again = lab.call(lab.stub.GetOperation, oracle_pb2.GetOperationRequest(operation_id=operation.id))
    expect(again.operation == operation, "GetOperation of a finished operation differs from WaitOperation")


@CHECKS.check("unknown", "An operation that does not exist is NOT_FOUND.")
def _unknown(lab: Lab) -> None:
    _needed(lab)
    for name, (method, message) in _calls(lab).items():
        if name == "SubmitScore":
            continue
        message.operation_id = "no-such-operation"
        error = lab.refusal(method, message)
        expect(
            error.code == grpc.StatusCode.NOT_FOUND,
            f"{name} of an unknown operation ended as {error.code.name} ({error}), expected NOT_FOUND",
        )


@CHECKS.check("idempotent", "The same idempotency key gives the same operation; none gives a new one.")
def _idempotent(lab: Lab) -> None:
    _needed(lab)
    request = lab.request([lab.good], [_VALIDITY])
    key = f"conformance-{time.time_ns()}"
    first, second = (_submit(lab, request, key) for _ in range(2))
    expect(first.id == second.id, f"one key gave two operations, {first.id} and {second.id}")
    third, fourth = (_submit(lab, request) for _ in range(2))
    expect(len({first.id, third.id, fourth.id}) == 3, "submissions without a key share an operation")


@CHECKS.check("bad-request", "A request that cannot be scored is refused at once, or its operation fails.")
def _bad_request(lab: Lab) -> None:
    _needed(lab)
    request = lab.request([lab.good], [_VALIDITY])
    request.crystals.numbers.append(8)
    message = oracle_pb2.SubmitScoreRequest(request=request)
    try:
        operation = lab.try_call(lab.stub.SubmitScore, message).operation
    except XenolithError as error:
        expect(
            error.code == grpc.StatusCode.INVALID_ARGUMENT,
            f"refused as {error.code.name} ({error}), expected INVALID_ARGUMENT",
        )
        _names_numbers(violation.field for violation in error.violations)
        return
    operation = _wait(lab, operation)
    expect(
        operation.state == _FAILED and operation.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0],
        "columns that do not fit together were scored",
    )
    _names_numbers(operation.error.field_violations)


def _names_numbers(fields: Iterable[str]) -> None:
    named = list(fields)
    expect(
        named == ["crystals.numbers"],
        f"the error names {', '.join(named) or 'no field'}, expected crystals.numbers",
    )


@CHECKS.check("short-wait", "Waiting for less time than it takes answers with the operation as it is.")
def _short_wait(lab: Lab) -> None:
    _needed(lab)
    operation = _submit(lab, lab.request([strained(lab.good, 1.011)], lab.components))
    message = oracle_pb2.WaitOperationRequest(operation_id=operation.id)
    message.timeout.FromMilliseconds(1)
    answer = lab.call(lab.stub.WaitOperation, message).operation
    expect(answer.id == operation.id, f"waited for {operation.id}, answered was {answer.id}")
    lab.call(lab.stub.CancelOperation, oracle_pb2.CancelOperationRequest(operation_id=operation.id))


@CHECKS.check("cancel", "A cancelled operation ends, with a score or a status for every structure.")
def _cancel(lab: Lab) -> None:
    _needed(lab)
    count = min(lab.description.max_batch, 3 if lab.quick else 24)
    crystals = [strained(lab.good, 1.02 + 0.001 * index) for index in range(count)]
    operation = _submit(lab, lab.request(crystals, lab.components))
    cancel = oracle_pb2.CancelOperationRequest(operation_id=operation.id)
    lab.call(lab.stub.CancelOperation, cancel)
    operation = _wait(lab, operation)
    expect(
        operation.state in {_CANCELLED, _SUCCEEDED},
        f"the operation ended as {oracle_pb2.OperationState.Name(operation.state)}",
    )
    expect(operation.WhichOneof("result") == "response", "what was measured before is not in a response")
    scores = operation.response.scores
    expect(len(scores) == count, f"{len(scores)} scores for {count} structures")
    for index, score in enumerate(scores):
        expect(score.status != 0, f"structure {index} has no status")
        stopped = score.status == crystal_pb2.STRUCTURE_STATUS_CANCELLED
        expect(
            not stopped or not score.HasField("energy_per_atom"),
            f"structure {index} is CANCELLED and measured",
        )
    lab.call(lab.stub.CancelOperation, cancel)
