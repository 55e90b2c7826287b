"""One request to the calculator's processes, and what becomes of it when a process is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import structlog
from numpy.typing import NDArray

from oracle_svc.calculators.base import Evaluation, EvaluationBuilder
from oracle_svc.pools.calculator_process import CalculatorIdentity, pack_batch, unpack_evaluation
from oracle_svc.pools.jobs import JobPool
from oracle_svc.pools.worker_pool import WorkerDiedError, WorkerPool, WorkerTimeoutError
from oracle_svc.status import Status
from xenolith.crystal import CrystalBatch

__all__ = ["Requests", "collect"]

log = structlog.get_logger(__name__)
_ATTEMPTS_ALONE = 2


class Requests:
    """Evaluates small batches, each in one request; thread-safe.

    Parameters
    ----------
    pool
        Who computes: worker processes, or jobs.
    identity
        What the calculator says of itself.
    """

    def __init__(self, pool: WorkerPool | JobPool, identity: CalculatorIdentity) -> None:
        self._pool, self._identity = pool, identity

    def evaluate(
        self, part: CrystalBatch, with_forces: bool, limit_s: float, stop: Callable[[], bool] | None
    ) -> Evaluation:
        """Evaluate structures together; if their process is lost, find out one by one whose fault it was.

        Parameters
        ----------
        part
            The structures.
        with_forces
            Give forces and stress too, as far as the calculator has them.
        limit_s
            Time limit of a structure, seconds.
        stop
            Asked while the request is at work; once it says True the request ends.

        Raises
        ------
        WorkerStoppedError
            `stop` said so.
        """
        try:
            return self._request(part, with_forces, limit_s, stop)
        except (WorkerDiedError, WorkerTimeoutError) as error:
            if len(part) == 1 and isinstance(error, WorkerTimeoutError):
                return _too_slow(limit_s)
            log.warning(
                "calculator process lost, repeating one by one", structures=len(part), error=str(error)
            )
        builder = self.builder(part.num_atoms, with_forces)
        for row in range(len(part)):
            alone = self._evaluate_one(part.take([row]), with_forces, limit_s, stop)
            collect(builder, part.num_atoms, [row], alone)
        return builder.build()

    def _evaluate_one(
        self, single: CrystalBatch, with_forces: bool, limit_s: float, stop: Callable[[], bool] | None
    ) -> Evaluation:
        """Evaluate one structure; a lost process may have been somebody else's doing, so it gets two."""
        reason = ""
        for _ in range(_ATTEMPTS_ALONE):
            try:
                return self._request(single, with_forces, limit_s, stop)
            except WorkerTimeoutError:
                return _too_slow(limit_s)
            except WorkerDiedError as error:
                reason = f"the calculator's process was lost every time: {error}"
        return _nothing((Status.CALCULATOR_FAILED,), (reason,))

    def builder(self, num_atoms: NDArray[np.integer], with_forces: bool) -> EvaluationBuilder:
        """Return where an evaluation of structures of so many atoms is put together."""
        return EvaluationBuilder(
            num_atoms,
            self._identity.embedding_size,
            forces=with_forces and self._identity.offers_forces,
            stress=with_forces and self._identity.offers_stress,
        )

    def _request(
        self, batch: CrystalBatch, with_forces: bool, limit_s: float, stop: Callable[[], bool] | None
    ) -> Evaluation:
        request = pack_batch(batch, with_forces=with_forces)
        answer = self._pool.call(request, time_limit_s=limit_s, stop=stop)
        if "error" in answer:
            failed = tuple(Status.CALCULATOR_FAILED for _ in range(len(batch)))
            return _nothing(failed, tuple(str(answer["error"]) for _ in failed))
        return unpack_evaluation(answer)


def collect(
    builder: EvaluationBuilder, num_atoms: NDArray[np.integer], rows: Sequence[int], evaluation: Evaluation
) -> None:
    """Copy an evaluation of some rows of a batch whose structures have `num_atoms`."""
    begin = 0
    for position, row in enumerate(rows):
        end = begin + int(num_atoms[row])
        builder.copy(row, evaluation, position, slice(begin, end))
        begin = end


def _too_slow(limit_s: float) -> Evaluation:
    return _nothing((Status.TIMEOUT,), (f"the calculator took longer than {limit_s:g} s",))


def _nothing(statuses: tuple[Status, ...], messages: tuple[str, ...]) -> Evaluation:
    energies = np.full(len(statuses), np.nan)
    return Evaluation(energy_per_atom=energies, embeddings=None, statuses=statuses, messages=messages)
