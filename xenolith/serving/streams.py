"""Streams of score requests, a batch of which may be wrong without costing the others anything."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import structlog

from xenolith.contract.errors import operation_error
from xenolith.errors import InternalError, XenolithError
from xenolith.v1 import oracle_pb2

__all__ = ["score_stream"]

log = structlog.get_logger(__name__)

_Request = oracle_pb2.ScoreStreamRequest
_Response = oracle_pb2.ScoreStreamResponse
_Score = Callable[[oracle_pb2.ScoreRequest], Awaitable[oracle_pb2.ScoreResponse]]


async def score_stream(
    requests: AsyncIterator[_Request], score: _Score, *, at_once: int = 1
) -> AsyncIterator[_Response]:
    """Answer a stream; a batch that is refused is answered with its error, and the stream goes on.

    Parameters
    ----------
    requests
        Batches, as they come.
    score
        Scores one of them.
    at_once
        Batches scored side by side; a further one is read when there is room for it.
    """
    pending: set[asyncio.Task[Any]] = set()
    reader: asyncio.Task[Any] | None = asyncio.create_task(_next(requests))
    try:
        while reader is not None or pending:
            room = reader is not None and len(pending) < at_once
            waiting = pending | {reader} if room and reader else pending
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if reader in done:
                item = reader.result()
                reader = None if item is None else asyncio.create_task(_next(requests))
                if item is not None:
                    pending.add(asyncio.create_task(_answer(item, score)))
            for task in done & pending:
                pending.discard(task)
                yield task.result()
    finally:
        for task in pending | ({reader} if reader else set()):
            task.cancel()


async def _answer(item: _Request, score: _Score) -> _Response:
    """Answer one batch; an error is its answer and leaves the stream alone."""
    try:
        response = await score(item.request)
    except XenolithError as error:
        return _Response(batch_id=item.batch_id, error=operation_error(error))
    except Exception:  # the stream's other batches are not to pay for a fault of ours
        log.exception("batch failed", batch_id=item.batch_id)
        hidden = InternalError("a fault in the service; its log has the rest")
        return _Response(batch_id=item.batch_id, error=operation_error(hidden))
    return _Response(batch_id=item.batch_id, response=response)


async def _next(requests: AsyncIterator[_Request]) -> _Request | None:
    return await anext(aiter(requests), None)
