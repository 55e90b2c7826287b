"""What a handler raises becomes a status with code, message and typed details."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import structlog
from grpc_status import rpc_status

from xenolith.contract.errors import status_from_error
from xenolith.errors import InternalError, UnimplementedError, XenolithError
from xenolith.serving.around import Around, CallInfo
from xenolith.serving.identity import request_id

__all__ = ["rich_errors"]

log = structlog.get_logger(__name__)
_PUSHBACK = "grpc-retry-pushback-ms"
_FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}


def rich_errors() -> Around:
    """Translate `XenolithError` faithfully; hide anything else behind INTERNAL and log it in full."""

    @asynccontextmanager
    async def around(call: CallInfo, context: Any) -> AsyncIterator[None]:
        try:
            yield
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except XenolithError as error:
            if error.code in _FAULTS:
                log.exception("call failed")
            else:
                log.info("call refused", code=error.code.name, reason=str(error))
            await _abort(context, error)
        except (
            NotImplementedError
        ):  # what the generated base class raises for a method that a service leaves out
            method = call.method.rpartition("/")[2]
            await _abort(context, UnimplementedError(f"{method} is not served here; Describe lists what is"))
        except Exception as error:  # the last line of defence: no fault may end a process
            log.exception("call failed")
            hidden = InternalError(f"{type(error).__name__} in the service; its log has the rest")
            await _abort(context, hidden)

    return around


async def _abort(context: Any, error: XenolithError) -> None:
    status = rpc_status.to_status(status_from_error(error, request_id()))
    trailers = list(status.trailing_metadata)
    if error.retry_after_s is not None:
        trailers.append((_PUSHBACK, str(math.ceil(error.retry_after_s * 1000))))
    await context.abort(status.code, status.details, tuple(trailers))
