"""A service's calls for programs without an event loop."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Self, TypeVar

import grpc

from xenolith.client.transport.calls import Answered, Collect, Exchange, Iterate
from xenolith.client.transport.endpoint import Endpoint
from xenolith.client.transport.following import Following
from xenolith.client.transport.options import Options, channel_options, credentials
from xenolith.client.transport.retry import RetryPolicy
from xenolith.client.transport.service_shared import POLL_S, ServiceBase
from xenolith.errors import XenolithError
from xenolith.v1 import oracle_pb2

__all__ = ["Service"]

R = TypeVar("R")


class Service(ServiceBase[grpc.Channel]):
    """The calls of one service at one address; connecting happens at the first one. See `ServiceBase`."""

    def __init__(self, endpoint: Endpoint, options: Options, retry: RetryPolicy | None = None) -> None:
        super().__init__(endpoint, _open_channel(endpoint.address, options), options, retry)

    def call(self, call: Answered[R], retry: RetryPolicy | None = None) -> R:
        """Return the result of a call, made again as `retry` says; by default as the service's policy does.

        Raises
        ------
        XenolithError
            What it ended with.
        """
        return self.repeat(lambda: self._attempt(call), retry)

    def repeat(self, attempt: Callable[[], R], retry: RetryPolicy | None = None) -> R:
        """Return the result of the first attempt that succeeds."""
        absence = self._absence(retry)
        while True:
            try:
                result = attempt()
            except XenolithError as error:
                pause = absence.pause_after(error)
            else:
                absence.over()
                return result
            time.sleep(pause)

    def stream(self, call: Iterate[R]) -> Iterator[R]:
        """Yield answers as they come; a stream that breaks is taken up again where the call says how."""
        absence = self._absence(self.watching)
        while True:
            try:
                with self._answers(call, call.request) as answers:
                    for message in answers:
                        absence.over()
                        yield call.parse(message)
                        if call.resume:
                            call.resume(call.request, message)
                return
            except XenolithError as error:
                if call.resume is None:
                    raise
                pause = absence.pause_after(error)
            time.sleep(pause)

    def exchange(self, call: Exchange[R]) -> Iterator[R]:
        """Yield the answers to a stream of requests."""
        requests = (call.encode(item) for item in call.items)
        with self._answers(call, requests) as answers:
            for message in answers:
                yield call.parse(message)

    def follow(self, following: Following) -> Iterator[oracle_pb2.Operation]:
        """Yield an operation as it is now and at every look, the last time when it has ended."""
        while (look := following.next_look()) is not None:
            operation = self.call(look, self.watching)
            following.seen(operation)
            yield operation

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Return once the service says that it serves.

        Raises
        ------
        DeadlineError
            If it has not after `timeout_s` seconds.
        """
        end = time.monotonic() + timeout_s
        check = self._endpoint.health(self.channel)
        last: XenolithError | None = None
        while time.monotonic() < end:
            try:
                with self._endpoint.errors("Check"):
                    if self._endpoint.is_serving(check(self._endpoint.health_request(), timeout=2)):
                        return
                last = None
            except XenolithError as error:
                last = error  # not there yet
            threading.Event().wait(POLL_S)
        raise self._endpoint.not_ready(timeout_s, last)

    def close(self) -> None:
        """Close the connection; calls at work are cancelled."""
        self.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _attempt(self, call: Answered[R]) -> R:
        if not isinstance(call, Collect):
            with self._endpoint.calling(call.method) as measured:
                return call.parse(self._start(call, call.sent(), measured.context))
        collector = call.collector()
        with self._answers(call, call.sent()) as answers:
            for message in answers:
                collector.add(message)
        return collector.finish()


def _open_channel(address: str, options: Options) -> grpc.Channel:
    secret = credentials(options)
    if secret is None:
        return grpc.insecure_channel(address, options=channel_options(options, address))
    return grpc.secure_channel(address, secret, options=channel_options(options, address))
