"""Bearer token: checked in constant time, never logged."""

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from xenolith.errors import AuthenticationError
from xenolith.serving.around import Around, CallInfo

__all__ = ["authentication"]


def authentication(token: str | None) -> Around:
    """Require ``authorization: Bearer <token>`` on every call but health checks; None lets everybody in."""
    expected = f"Bearer {token}".encode()

    @asynccontextmanager
    async def around(call: CallInfo, _context: Any) -> AsyncIterator[None]:
        if token is not None and not call.method.startswith("/grpc.health."):
            shown = call.metadata.get("authorization", "").encode()
            if not hmac.compare_digest(shown, expected):
                problem = "is wrong" if shown else "is missing"
                raise AuthenticationError(f"the bearer token {problem}; set token=... in the client")
        yield

    return around
