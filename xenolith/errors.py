"""Everything that Xenolith raises: one root, and one class for each gRPC status code.

The same classes serve both ends: a service raises them, the transport carries code, message and details, and
the client raises the same class again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import grpc

__all__ = [
    "AbortedError",
    "AlreadyExistsError",
    "AuthenticationError",
    "CancelledError",
    "CrystalError",
    "DataLossError",
    "DeadlineError",
    "DisorderedError",
    "FailedPreconditionError",
    "FieldViolation",
    "InternalError",
    "InvalidArgumentError",
    "NotFoundError",
    "OutOfRangeError",
    "OverloadedError",
    "PermissionDeniedError",
    "ReadError",
    "StackNotFoundError",
    "UnavailableError",
    "UnimplementedError",
    "UnknownError",
    "UnreachableError",
    "XenolithError",
    "error_class",
    "error_class_of",
    "invalid_field",
]


@dataclass(frozen=True, kw_only=True)
class FieldViolation:
    """One field of a request that is at fault."""

    field: str
    """Path of the field, such as ``crystals.numbers`` or ``config.reward_terms[2].weight``."""
    description: str
    """What is wrong with it and what would be right."""


class XenolithError(Exception):
    """Root of all errors of Xenolith.

    Parameters
    ----------
    message
        For the user: what is wrong and what to do.
    violations
        Fields of the request at fault.
    retry_after_s
        Seconds after which another attempt makes sense, where the server said so.
    request_id
        Id under which the server logged the call.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        violations: Sequence[FieldViolation] = (),
        retry_after_s: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.violations = tuple(violations)
        self.retry_after_s = retry_after_s
        self.request_id = request_id

    def __str__(self) -> str:
        fields = [f"{v.field}: {v.description}" for v in self.violations if v.description not in self.message]
        return "; ".join([self.message, *fields])


class UnknownError(XenolithError):
    """A failure without a known code."""


class InvalidArgumentError(XenolithError):
    """The request is wrong in itself; `violations` names the fields."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class CrystalError(InvalidArgumentError, ValueError):
    """Arrays that cannot make a crystal or a batch; `field` names the one at fault."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message, violations=[FieldViolation(field=field, description=message)])
        self.field = field


class ReadError(InvalidArgumentError, ValueError):
    """A file or an object that cannot be read as ordered crystals."""


class DisorderedError(ReadError):
    """A crystal with shared or partly vacant sites, which this version does not measure."""


class NotFoundError(XenolithError):
    """An object that the request names does not exist."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExistsError(XenolithError):
    """The name is taken."""

    code = grpc.StatusCode.ALREADY_EXISTS


class FailedPreconditionError(XenolithError):
    """Policy, bundle, reference or settings are not those that the request expects; both are named."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class AbortedError(XenolithError):
    """The call lost a race against another one."""

    code = grpc.StatusCode.ABORTED


class OutOfRangeError(XenolithError):
    """A position beyond the end."""

    code = grpc.StatusCode.OUT_OF_RANGE


class OverloadedError(XenolithError):
    """The service has too much to do; `retry_after_s` says when to come again."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class UnavailableError(XenolithError):
    """Nobody answers at the address, or the service is shutting down."""

    code = grpc.StatusCode.UNAVAILABLE


class UnreachableError(UnavailableError):
    """A connection fails, so that the service itself has said nothing.

    Parameters
    ----------
    fault
        What is wrong, in words that name service and address: ``no oracle answers at 127.0.0.1:50052``.
    remedy
        What the user can do.
    service
        ``generator``, ``oracle`` or ``trainer``.
    address
        Its ``host:port``.
    """

    def __init__(self, fault: str, remedy: str, *, service: str, address: str) -> None:
        super().__init__(f"{fault}: {remedy}")
        self.fault, self.remedy = fault, remedy
        self.service, self.address = service, address


class StackNotFoundError(UnavailableError):
    """No stack runs on this machine; the message says how to start one, and where was looked."""


class DeadlineError(XenolithError, TimeoutError):
    """The call took longer than its timeout."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class CancelledError(XenolithError):
    """The call was cancelled."""

    code = grpc.StatusCode.CANCELLED


class UnimplementedError(XenolithError):
    """The service does not serve this call; the message says what to use instead."""

    code = grpc.StatusCode.UNIMPLEMENTED


class AuthenticationError(XenolithError):
    """The token is missing or wrong."""

    code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDeniedError(XenolithError):
    """The token does not allow this call."""

    code = grpc.StatusCode.PERMISSION_DENIED


class DataLossError(XenolithError):
    """Bytes arrived damaged: a checksum does not match."""

    code = grpc.StatusCode.DATA_LOSS


class InternalError(XenolithError):
    """A fault in the service; its log has the rest under `request_id`."""

    code = grpc.StatusCode.INTERNAL


_CLASSES: dict[grpc.StatusCode, type[XenolithError]] = {
    cls.code: cls
    for cls in (
        UnknownError,
        InvalidArgumentError,
        NotFoundError,
        AlreadyExistsError,
        FailedPreconditionError,
        AbortedError,
        OutOfRangeError,
        OverloadedError,
        UnavailableError,
        DeadlineError,
        CancelledError,
        UnimplementedError,
        AuthenticationError,
        PermissionDeniedError,
        DataLossError,
        InternalError,
    )
}


def error_class_of(number: int) -> type[XenolithError]:
    """Return the class for the number of a gRPC status code."""
    return next((cls for code, cls in _CLASSES.items() if code.value[0] == number), UnknownError)


def error_class(code: grpc.StatusCode) -> type[XenolithError]:
    """Return the class for a gRPC status code."""
    return _CLASSES.get(code, UnknownError)


def invalid_field(field: str, description: str) -> InvalidArgumentError:
    """Return the error that one field of a request is at fault, to be raised."""
    violation = FieldViolation(field=field, description=description)
    return InvalidArgumentError(f"{field} {description}", violations=[violation])
