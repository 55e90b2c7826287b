"""Bytes that are no message end their call as INVALID_ARGUMENT, in words, not as UNKNOWN with a traceback."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from xenolith.errors import InvalidArgumentError

__all__ = ["DecodingInterceptor"]


class _Undecodable:
    """Stands for a request whose bytes are no message."""


class DecodingInterceptor(grpc.aio.ServerInterceptor):
    """Takes the place of gRPC's own decoding. The innermost one, so that the others see its refusals."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler that `continuation` finds."""
        handler = await continuation(details)
        if handler is None or handler.request_deserializer is None:
            return handler
        kind = ("stream" if handler.request_streaming else "unary") + (
            "_stream" if handler.response_streaming else "_unary"
        )
        inner = getattr(handler, kind)
        method = details.method.rpartition("/")[2]
        refusal = f"these bytes are no request of {method}: does the client know another version?"

        def checked(request: Any) -> Any:
            if isinstance(request, _Undecodable):
                raise InvalidArgumentError(refusal)
            return request

        async def each(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
            async for request in requests:
                yield checked(request)

        def serve(request: Any, context: Any) -> Any:
            return inner(each(request) if handler.request_streaming else checked(request), context)

        return getattr(grpc, f"{kind}_rpc_method_handler")(
            serve,
            request_deserializer=_tolerant(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )


def _tolerant(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def tolerant(data: bytes) -> Any:
        try:
            return decode(data)
        except DecodeError:
            return _Undecodable()

    return tolerant
