"""Who is let in, decided from a call's metadata before a byte of its request is taken in."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import structlog

from xenolith.contract.access import Access, access_of, may_call
from xenolith.contract.metadata import TOKEN_KEY, token_of
from xenolith.errors import AuthenticationError, PermissionDeniedError, XenolithError
from xenolith.serving.callers import Caller, Callers
from xenolith.serving.calls.handlers import Around, CallInfo, call_info, wrapped
from xenolith.serving.calls.record import call_record

__all__ = ["AuthenticationInterceptor", "caller", "let_in"]

_caller: ContextVar[Caller | None] = ContextVar("xenolith_caller", default=None)


def caller() -> Caller | None:
    """Return who makes the call being served; None where nobody has to show a token."""
    return _caller.get()


@dataclass(frozen=True)
class AuthenticationInterceptor(grpc.aio.ServerInterceptor):
    """Lets callers in by the table of `xenolith.contract.access`; a refused call's request is never received.

    Parameters
    ----------
    callers
        Those who are known, by ``authorization: Bearer <token>``; None lets everybody do everything. Tokens
        are compared in constant time and never logged.
    """

    callers: Callers | None

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the handler that `continuation` finds, or one that refuses."""
        handler = await continuation(details)
        if handler is None or self.callers is None or access_of(details.method) is Access.EVERYONE:
            return handler
        call = call_info(details)
        shown = token_of(call.metadata.get(TOKEN_KEY, ""))
        try:
            known = let_in(self.callers, shown, call.method)
        except AuthenticationError as fault:
            return _refusing(fault, "token")
        except PermissionDeniedError as denied:
            named = self.callers.find(shown)
            return _refusing(denied, "role", named.name if named else "")
        return wrapped(handler, _called_by(known), call)


def let_in(callers: Callers, token: str, method: str) -> Caller:
    """Return the caller with this token, who may call the method of this full name.

    Raises
    ------
    AuthenticationError
        The token is missing or nobody's.
    PermissionDeniedError
        The caller's roles do not reach.
    """
    known = callers.find(token)
    if known is None:
        problem = "is wrong" if token else "is missing"
        raise AuthenticationError(f"the bearer token {problem}; set token=... in the client")
    if not may_call(known.roles, method):
        raise PermissionDeniedError(
            f"{method.rpartition('/')[2]} needs the role {access_of(method)}; {known.name} has"
            f" {', '.join(sorted(known.roles))}"
        )
    return known


def _refusing(error: XenolithError, refusal: str, name: str = "") -> Any:
    """Return a handler that raises before it reads: of a stream nothing is received unasked."""

    async def refuse(_requests: Any, _context: Any) -> None:
        record = call_record()
        record.refusal, record.caller = refusal, name
        raise error

    return grpc.stream_stream_rpc_method_handler(refuse)


def _called_by(known: Caller) -> Around:
    @asynccontextmanager
    async def around(_call: CallInfo, _context: Any) -> AsyncIterator[None]:
        _caller.set(known)
        call_record().caller = known.name
        structlog.contextvars.bind_contextvars(caller=known.name)
        yield

    return around
