"""Bytes that are no request: the call fails, the service does not."""

import grpc
import numpy as np

from xenolith.conformance.check import Collection, expect
from xenolith.conformance.comparison import differences
from xenolith.conformance.lab import Lab
from xenolith.v1 import oracle_pb2

__all__ = ["CHECKS"]

CHECKS = Collection("wire")
_SCORE = "/xenolith.v1.OracleService/Score"
_LOST = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
_METHODS = ("Score", "Describe", "SubmitScore", "GetOperation", "WaitOperation", "CancelOperation")


def _survives(lab: Lab, data: bytes, method: str = _SCORE) -> grpc.StatusCode:
    code = lab.raw(method, data)
    expect(code not in _LOST, f"the call ended as {code.name}: the service crashed or hung")
    return code


@CHECKS.check("no-message", "Bytes that are no protobuf message are refused by every method.")
def _no_message(lab: Lab) -> None:
    for method in _METHODS:
        code = _survives(lab, b"\x0a\xff\xff\xff\xff\x07 too short", f"/xenolith.v1.OracleService/{method}")
        expect(code != grpc.StatusCode.OK, f"{method} answered a truncated message as if it were a request")
    lab.alive()


@CHECKS.check("random-bytes", "Random bytes never stop the service.")
def _random(lab: Lab) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5 if lab.quick else 40):
        _survives(lab, rng.bytes(int(rng.integers(1, 400))))
    lab.alive()


@CHECKS.check("mutated", "Valid requests with bytes changed, lost or repeated never stop the service.")
def _mutated(lab: Lab) -> None:
    rng = np.random.default_rng(1)
    valid = lab.request([lab.good], [oracle_pb2.COMPONENT_VALIDITY]).SerializeToString()
    for _ in range(5 if lab.quick else 40):
        data = bytearray(valid)
        cut = int(rng.integers(len(data)))
        kind = int(rng.integers(3))
        if kind == 0:
            data[cut] = int(rng.integers(256))
        elif kind == 1:
            del data[cut:]
        else:
            data += data[cut:]
        _survives(lab, bytes(data))
    lab.alive()


@CHECKS.check("unknown-fields", "Fields of a later version of the contract are ignored.")
def _unknown_fields(lab: Lab) -> None:
    request = lab.request([lab.good], [oracle_pb2.COMPONENT_VALIDITY])
    newer = oracle_pb2.ScoreRequest.FromString(request.SerializeToString() + b"\xc2\x3e\x05later")
    scores = [lab.answer(message).scores[0] for message in (request, newer)]
    found = differences(scores[0], scores[1], energy_tolerance=lab.settings.energy_tolerance)
    expect(not found, f"an unknown field changed the score: {'; '.join(found)}")


@CHECKS.check("unknown-method", "A method that is not in the contract is UNIMPLEMENTED.")
def _unknown_method(lab: Lab) -> None:
    code = lab.raw("/xenolith.v1.OracleService/NoSuchMethod", b"")
    expect(code == grpc.StatusCode.UNIMPLEMENTED, f"the call ended as {code.name}, expected UNIMPLEMENTED")
