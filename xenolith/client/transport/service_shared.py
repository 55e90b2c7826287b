"""Common part of a service's calls with an event loop and without: everything but the waiting."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from xenolith.client.transport.calls import deadline
from xenolith.client.transport.endpoint import Endpoint, call_metadata
from xenolith.client.transport.options import Options
from xenolith.client.transport.retry import ONCE, Absence, RetryPolicy
from xenolith.tracing import TraceContext

__all__ = ["POLL_S", "ServiceBase"]

C = TypeVar("C")  # the channel

POLL_S = 0.2
"""Between two questions whether a service serves, seconds."""


class ServiceBase(Generic[C]):
    """One service at one address.

    Parameters
    ----------
    endpoint
        Which service, and where.
    channel
        To it.
    options
        How it is reached.
    retry
        For calls that outlast what gRPC tries by itself. None: streams that are watched and operations that
        are followed are taken up again for ``options.reconnect_s`` seconds, all else is tried once.
    """

    def __init__(
        self, endpoint: Endpoint, channel: C, options: Options, retry: RetryPolicy | None = None
    ) -> None:
        self._endpoint, self._options = endpoint, options
        self.channel = channel
        """Connection to the service."""
        self.stub = endpoint.stub(channel)
        """The generated stub on it."""
        self._retry = retry or ONCE
        self._watching = retry or RetryPolicy(limit_s=options.reconnect_s)

    @property
    def address(self) -> str:
        """``host:port`` of the service."""
        return self._endpoint.address

    @property
    def watching(self) -> RetryPolicy:
        """When a stream that is watched, or an operation that is followed, is looked for again."""
        return self._watching

    def metadata(self, request_id: str = "") -> tuple[tuple[str, str], ...]:
        """Return what goes with a call."""
        return call_metadata(self._options, request_id)

    def _start(self, call: Any, message: Any, trace: TraceContext) -> Any:
        """Begin a call; returns what the stub's method returns."""
        method = getattr(self.stub, call.method)
        timeout = deadline(call, self._options.timeout_s)
        return method(message, timeout=timeout, metadata=call_metadata(self._options, trace=trace))

    def _absence(self, policy: RetryPolicy | None = None) -> Absence:
        return Absence(policy or self._retry, self._endpoint.name)

    @contextmanager
    def _answers(self, call: Any, message: Any) -> Iterator[Any]:
        """Begin a call and give its stream, which is cancelled where it is left: nobody works for nobody."""
        with self._endpoint.calling(call.method) as measured:
            answers = self._start(call, message, measured.context)
            try:
                yield answers
            finally:
                answers.cancel()
