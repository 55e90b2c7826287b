"""Errors on the wire: `XenolithError` from and to ``google.rpc.Status`` with its typed details."""

from typing import cast

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from xenolith.contract.unreachable import unreachable
from xenolith.errors import FieldViolation, XenolithError, error_class
from xenolith.v1 import oracle_pb2

__all__ = ["error_from_call", "operation_error", "status_from_error"]


# What gRPC's own server says of a method that no servicer was registered for.
_NO_SUCH_METHOD = "Method not found!"
# An error travels in trailers, twice over and written out in ASCII. gRPC drops trailers beyond 8 to 16 KiB;
# the client then sees RESOURCE_EXHAUSTED, which it takes for a wish to come again. Bytes of UTF-8:
_LONGEST_MESSAGE, _LONGEST_FIELD, _LONGEST_DESCRIPTION, _MOST_VIOLATIONS = 1_200, 120, 300, 6


def status_from_error(error: XenolithError, request_id: str | None = None) -> status_pb2.Status:
    """Return the status that carries `error` and its details; `request_id` fills in where it has none."""
    status = status_pb2.Status(code=error.code.value[0], message=_short(error.message, _LONGEST_MESSAGE))
    if error.violations:
        bad = error_details_pb2.BadRequest()
        for violation in error.violations[:_MOST_VIOLATIONS]:
            bad.field_violations.add(
                field=_short(violation.field, _LONGEST_FIELD),
                description=_short(violation.description, _LONGEST_DESCRIPTION),
            )
        _pack(status, bad)
    if error.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        _pack(status, error_details_pb2.RetryInfo(retry_delay=delay))
    if request_id := error.request_id or request_id:
        _pack(status, error_details_pb2.RequestInfo(request_id=request_id))
    return status


def operation_error(error: XenolithError) -> oracle_pb2.OperationError:
    """Return the message of an error where no gRPC status can carry it: in a stream, in an operation."""
    return oracle_pb2.OperationError(
        code=error.code.value[0],
        message=_short(error.message, _LONGEST_MESSAGE),
        field_violations={
            _short(violation.field, _LONGEST_FIELD): _short(violation.description, _LONGEST_DESCRIPTION)
            for violation in error.violations[:_MOST_VIOLATIONS]
        },
    )


def error_from_call(
    call: grpc.RpcError, *, service: str = "", address: str = "", method: str = ""
) -> XenolithError:
    """Return the error that a failed call stands for.

    Parameters
    ----------
    call
        What grpc raised, sync or async.
    service, address, method
        What was called: ``oracle``, its ``host:port``, ``Score``. Errors about the way there name them.
    """
    failed = cast("grpc.Call", call)
    code = failed.code()
    said = failed.details() or code.name.lower().replace("_", " ")
    try:
        status = rpc_status.from_call(failed)
    except (
        ValueError
    ):  # trailers that contradict the status, from a server that is not ours: code and text remain
        status = None
    # With a status of its own, it is the service that speaks, not the transport.
    if status is None and code is grpc.StatusCode.UNAVAILABLE and address:
        lost = unreachable(said, service=service, address=address, method=method)
        if lost is not None:
            return lost
    if said == _NO_SUCH_METHOD and method:
        said = f"what answers at {address} knows no {method} of the {service}'s: is it another service?"
    error = error_class(code)(f"{_where(code, service, address, method)}{said}")
    if status is not None:
        _unpack(status, error)
    return error


def _short(text: str, most: int) -> str:
    """Return a text of at most so many bytes, its middle left out where it is longer."""
    data = text.encode(errors="replace")
    if len(data) <= most:
        return data.decode()
    head, tail = most * 2 // 3, most // 3 - 8
    return f"{data[:head].decode(errors='ignore')} ... {data[-tail:].decode(errors='ignore')}"


def _where(code: grpc.StatusCode, service: str, address: str, method: str) -> str:
    about_the_way = code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
    return f"{service} at {address}, {method}: " if about_the_way and address else ""


def _pack(status: status_pb2.Status, detail: object) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)  # type: ignore[arg-type]
    status.details.append(packed)


def _unpack(status: status_pb2.Status, error: XenolithError) -> None:
    bad, retry, info = (
        error_details_pb2.BadRequest(), error_details_pb2.RetryInfo(), error_details_pb2.RequestInfo()
    )  # fmt: skip
    for detail in status.details:
        if detail.Unpack(bad):
            error.violations = tuple(
                FieldViolation(field=v.field, description=v.description) for v in bad.field_violations
            )
        elif detail.Unpack(retry):
            error.retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9
        elif detail.Unpack(info):
            error.request_id = info.request_id
