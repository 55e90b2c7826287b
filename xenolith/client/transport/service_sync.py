"""What every client without an event loop does with a call."""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar

import grpc

from xenolith.client.transport.calls import Collect, Exchange, Iterate, Unary, Upload
from xenolith.client.transport.endpoint import Endpoint, call_metadata, may_reconnect
from xenolith.client.transport.options import Options, channel_options, credentials
from xenolith.errors import XenolithError

__all__ = ["Service", "collect", "iterate", "open_channel", "unary", "upload"]

P = ParamSpec("P")
R = TypeVar("R")


class Service:
    """The calls of one service at one address."""

    def __init__(self, endpoint: Endpoint, channel: grpc.Channel, options: Options) -> None:
        self._endpoint, self._channel, self._options = endpoint, channel, options
        self._stub = endpoint.stub(channel)

    @property
    def address(self) -> str:
        """``host:port`` of the service."""
        return self._endpoint.address

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Return once the service says that it serves.

        Raises
        ------
        DeadlineError
            If it has not after `timeout_s` seconds.
        """
        end = time.monotonic() + timeout_s
        check = self._endpoint.health(self._channel)
        last: XenolithError | None = None
        while time.monotonic() < end:
            try:
                with self._endpoint.errors("Check"):
                    if self._endpoint.is_serving(check(self._endpoint.health_request(), timeout=2)):
                        return
                last = None
            except XenolithError as error:
                last = error  # not there yet
            threading.Event().wait(0.2)
        raise self._endpoint.not_ready(timeout_s, last)

    def _unary(self, call: Unary[R]) -> R:
        with self._endpoint.errors(call.method):
            response = self._method(call.method)(
                call.request, timeout=call.timeout_s, metadata=self._metadata()
            )
        return call.parse(response)

    def _upload(self, call: Upload[R]) -> R:
        with self._endpoint.errors(call.method):
            method = self._method(call.method)
            response = method(iter(call.requests()), timeout=call.timeout_s, metadata=self._metadata())
        return call.parse(response)

    def _collect(self, call: Collect[R]) -> R:
        collector = call.collector()
        with self._endpoint.errors(call.method):
            stream = self._method(call.method)(
                call.request, timeout=call.timeout_s, metadata=self._metadata()
            )
            with _cancelling(stream):
                for message in stream:
                    collector.add(message)
        return collector.finish()

    def _iterate(self, call: Iterate[R]) -> Iterator[R]:
        broken_since: float | None = None
        while True:
            try:
                with self._endpoint.errors(call.method):
                    method = self._method(call.method)
                    stream = method(call.request, timeout=call.timeout_s, metadata=self._metadata())
                    with _cancelling(stream):
                        for message in stream:
                            broken_since = None
                            yield call.parse(message)
                            if call.resume:
                                call.resume(call.request, message)
                return
            except XenolithError as error:
                broken_since = broken_since or time.monotonic()
                if not may_reconnect(call, error, time.monotonic() - broken_since, self._options):
                    raise
                threading.Event().wait(0.5)

    def _exchange(self, call: Exchange[R]) -> Iterator[R]:
        with self._endpoint.errors(call.method):
            requests = (call.encode(item) for item in call.items)
            stream = self._method(call.method)(requests, timeout=call.timeout_s, metadata=self._metadata())
            with _cancelling(stream):
                for message in stream:
                    yield call.parse(message)

    def _method(self, name: str) -> Any:
        return getattr(self._stub, name)

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return call_metadata(self._options)


class _cancelling:  # noqa: N801  # used like a function
    """Cancels a stream that is left before its end, so that the service stops working for nobody."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._stream.cancel()


def unary(build: Callable[P, Unary[R]]) -> Callable[Concatenate[Any, P], R]:
    """Return the method that makes the call `build` gives: one request, one answer."""

    @functools.wraps(build)
    def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._unary(build(*args, **kwargs))

    return method  # type: ignore[return-value]  # wraps() shows the checker no self


def upload(build: Callable[P, Upload[R]]) -> Callable[Concatenate[Any, P], R]:
    """Return the method that makes the call `build` gives: a stream of requests, one answer."""

    @functools.wraps(build)
    def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._upload(build(*args, **kwargs))

    return method  # type: ignore[return-value]  # wraps() shows the checker no self


def collect(build: Callable[P, Collect[R]]) -> Callable[Concatenate[Any, P], R]:
    """Return the method that makes the call `build` gives: one request, an answer in pieces."""

    @functools.wraps(build)
    def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._collect(build(*args, **kwargs))

    return method  # type: ignore[return-value]  # wraps() shows the checker no self


def iterate(build: Callable[P, Iterate[R]]) -> Callable[Concatenate[Any, P], Iterator[R]]:
    """Return the method that makes the call `build` gives: one request, a stream of answers."""

    @functools.wraps(build)
    def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        return self._iterate(build(*args, **kwargs))

    return method  # type: ignore[return-value]  # wraps() shows the checker no self


def open_channel(address: str, options: Options) -> grpc.Channel:
    """Return a channel to an address; connecting happens at the first call."""
    secret = credentials(options)
    if secret is None:
        return grpc.insecure_channel(address, options=channel_options(options, address))
    return grpc.secure_channel(address, secret, options=channel_options(options, address))
