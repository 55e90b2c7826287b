"""Scoring that takes hours: submitted, followed, and found again after a restart of either side."""

import hashlib
from collections.abc import Callable

import structlog

from trainer_svc.services.remote import Oracle
from xenolith.client.transport.following import Following
from xenolith.contract.states import OPERATION_ENDED
from xenolith.errors import CancelledError, NotFoundError, UnavailableError, XenolithError, error_class_of
from xenolith.v1 import oracle_pb2

__all__ = ["LongScoring"]

log = structlog.get_logger(__name__)

_LOOK_S = 30.0
"""Longest time between two looks at the progress, seconds."""
_FAILURES = 3


class LongScoring:
    """Scores batches through operations.

    Parameters
    ----------
    oracle
        Who measures.
    on_progress
        Told the stage, the structures finished and those in all.
    """

    def __init__(self, oracle: Oracle, on_progress: Callable[[str, int, int], None]) -> None:
        self._oracle, self._on_progress = oracle, on_progress

    async def score(self, request: oracle_pb2.ScoreRequest) -> oracle_pb2.ScoreResponse:
        """Return the scores of a batch, of an earlier submission of the same batch if there is one.

        Raises
        ------
        XenolithError
            It failed or was cancelled several times over.
        """
        content = hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()
        failures = attempt = 0
        while True:
            submission = oracle_pb2.SubmitScoreRequest(
                request=request, idempotency_key=f"trainer-{content}-{attempt}"
            )
            operation = await self._oracle.submit(submission)
            fresh = operation.state not in OPERATION_ENDED
            try:
                operation = await self._ended(operation)
            except NotFoundError:
                log.warning("the oracle forgot an operation; submitting it again", operation=operation.id)
                continue
            if operation.state == oracle_pb2.OPERATION_STATE_SUCCEEDED:
                return operation.response
            # What ended before this run came (back) to it says nothing about the next attempt.
            failures += fresh
            attempt += 1
            error = _error_of(operation)
            if failures >= _FAILURES or not isinstance(error, UnavailableError | CancelledError):
                raise error
            log.warning("operation gave no scores; submitting anew", operation=operation.id, error=str(error))

    async def _ended(self, operation: oracle_pb2.Operation) -> oracle_pb2.Operation:
        """Follow an operation to its end."""
        async for now in self._oracle.follow(Following(operation.id, look_s=_LOOK_S)):
            self._on_progress("scoring", now.structures_done, now.structures_total)
            operation = now
        return operation


def _error_of(operation: oracle_pb2.Operation) -> XenolithError:
    if operation.state == oracle_pb2.OPERATION_STATE_CANCELLED:
        return CancelledError(f"somebody cancelled operation {operation.id} in the oracle")
    return error_class_of(operation.error.code)(operation.error.message)
