"""Messages of bytes and bytes of messages, in the place of gRPC's own decoding."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from xenolith.errors import InvalidArgumentError
from xenolith.serving.calls.decoding import decode
from xenolith.serving.calls.handlers import remade, served_by
from xenolith.serving.calls.record import call_record

__all__ = ["CodingInterceptor"]


class CodingInterceptor(grpc.aio.ServerInterceptor):
    """Makes messages of bytes, bytes of messages, and notes how many.

    Takes the place of gRPC's own decoding, which would come before all interceptors: bytes that are no
    message end the call as INVALID_ARGUMENT, not as UNKNOWN with a traceback. The innermost one, so that only
    bytes of those who were let in are decoded, and so that the others see its refusals and sizes.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler that `continuation` finds."""
        handler = await continuation(details)
        if handler is None or handler.request_deserializer is None:
            return handler
        inner, codec = served_by(handler), _Codec(handler, details.method.rpartition("/")[2])

        async def taken(request: Any) -> Any:
            return codec.stream(request) if handler.request_streaming else await codec.request(request)

        async def one(request: Any, context: Any) -> bytes:
            return codec.answer(await inner(await taken(request), context))

        async def many(request: Any, context: Any) -> AsyncIterator[bytes]:
            answers = inner(await taken(request), context)
            if inspect.isawaitable(answers):  # a handler that calls context.write itself
                await answers
                return
            async for answer in answers:
                yield codec.answer(answer)

        return remade(handler, many if handler.response_streaming else one, None, codec.answer)


class _Codec:
    """The two ways of one method."""

    def __init__(self, handler: Any, method: str) -> None:
        self._decode, self._encode = handler.request_deserializer, handler.response_serializer
        self._refusal = f"these bytes are no request of {method}: does the client know another version?"

    async def request(self, data: bytes) -> Any:
        record = call_record()
        record.requests, record.request_bytes = record.requests + 1, record.request_bytes + len(data)
        try:
            return await decode(self._decode, data)
        except DecodeError:
            record.refusal = "malformed"
            raise InvalidArgumentError(self._refusal) from None

    async def stream(self, requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for request in requests:
            yield await self.request(request)

    def answer(self, answer: Any) -> bytes:
        # What a handler wrote to the context itself comes here as a message, all else as bytes already.
        if isinstance(answer, bytes):
            return answer
        data: bytes = self._encode(answer)
        record = call_record()
        record.responses, record.response_bytes = record.responses + 1, record.response_bytes + len(data)
        return data
