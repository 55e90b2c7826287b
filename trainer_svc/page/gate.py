"""Who may see the page: a bearer token with each request, or a session that a token has opened."""

import ipaddress
import secrets
import time
from collections import OrderedDict

from starlette.requests import HTTPConnection

from xenolith.contract.metadata import TOKEN_KEY, token_of
from xenolith.errors import AuthenticationError, PermissionDeniedError
from xenolith.serving.callers import Callers
from xenolith.serving.calls.authentication import let_in

__all__ = ["COOKIE", "SESSION_S", "Gate"]

COOKIE = "xenolith-page"
SESSION_S = 12 * 3600
"""Seconds after which a browser is asked for its token again."""
_MOST_SESSIONS = 1_000
_SERVICE = "/xenolith.v1.TrainerService/"
_LOCAL_NAMES = {"localhost", "localhost.localdomain"}


class Gate:
    """Lets requests in by the rules of the trainer's methods that give the same (`xenolith.contract.access`).

    A session holds the token that opened it, in memory alone, and asks for its roles at every request: a
    token that is withdrawn closes its sessions.

    Parameters
    ----------
    callers
        Those who are known; None lets everybody in who uses an address of a machine, not a name that
        another site could have pointed at it.
    """

    def __init__(self, callers: Callers | None) -> None:
        self._callers = callers
        self._sessions: OrderedDict[str, tuple[str, float]] = OrderedDict()

    @property
    def open(self) -> bool:
        """Whether nobody is asked for a token."""
        return self._callers is None

    def check(self, request: HTTPConnection, method: str) -> None:
        """Let a request in that shows what a method of the trainer gives, such as ``GetRun``.

        Raises
        ------
        AuthenticationError
            It has no token, or nobody's.
        PermissionDeniedError
            The token's roles do not reach, or a page of another site makes the request.
        """
        if self._callers is None:
            _expect_address(request)
            return
        shown = token_of(request.headers.get(TOKEN_KEY, ""))
        let_in(self._callers, shown or self._token_of_session(request), _SERVICE + method)

    def enter(self, token: str) -> str:
        """Open a session; returns its secret.

        Raises
        ------
        AuthenticationError
            The token is nobody's.
        PermissionDeniedError
            It may not see runs.
        """
        if self._callers is None:
            raise PermissionDeniedError("this trainer asks nobody for a token: open its page without")
        let_in(self._callers, token, _SERVICE + "ListRuns")
        while len(self._sessions) >= _MOST_SESSIONS:
            self._sessions.popitem(last=False)
        session = secrets.token_urlsafe(32)
        self._sessions[session] = token, time.monotonic() + SESSION_S
        return session

    def leave(self, request: HTTPConnection) -> None:
        """Close the session of a request, if it has one."""
        self._sessions.pop(request.cookies.get(COOKIE, ""), None)

    def _token_of_session(self, request: HTTPConnection) -> str:
        session = request.cookies.get(COOKIE, "")
        token, end = self._sessions.get(session, ("", 0.0))
        if token and end < time.monotonic():
            del self._sessions[session]
            raise AuthenticationError("the session has ended: sign in again")
        return token


def _expect_address(request: HTTPConnection) -> None:
    """Refuse names that anybody can point at this machine, so that no other site's script reads the page."""
    host = request.url.hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if host not in _LOCAL_NAMES:
            raise PermissionDeniedError(
                "without tokens the page answers to 127.0.0.1, localhost and other addresses in numbers"
            ) from None
