"""The calculator, in worker processes: a crash or a hang costs one structure, not the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any

import numpy as np
import structlog

from oracle_svc.calculators.base import Evaluation, EvaluationBuilder
from oracle_svc.evaluation.calculator_process import CalculatorIdentity, pack_batch, unpack_evaluation
from oracle_svc.jobs import JobPool, JobSettings, open_backend
from oracle_svc.relaxation import Relaxed, RelaxSettings
from oracle_svc.relaxation.batch import WalkQueue
from oracle_svc.relaxation.threads import relax_side_by_side
from oracle_svc.status import Status
from oracle_svc.workers.pool import WorkerDiedError, WorkerPool, WorkerTimeoutError
from xenolith.crystal import CrystalBatch

__all__ = ["CalculatorIdentity", "CalculatorPool"]

log = structlog.get_logger(__name__)
_ATTEMPTS_ALONE = 2


class CalculatorPool:
    """Evaluates batches on several processes, each with its own copy of the calculator.

    Parameters
    ----------
    calculator
        Name for `oracle_svc.calculators.open_calculator`.
    settings
        Its settings, JSON values.
    workers
        Number of processes.
    threads
        Threads of each.
    atoms_per_batch
        Atoms in one request to a worker: the grain of cancellation, of load balance, and of what a crash
        repeats.
    structure_limit_s
        Time limit of a structure, seconds.
    relaxation_limit_s
        The same for its relaxation.
    jobs
        Evaluate each structure as a job of its own, `workers` at once; None: in worker processes.
    """

    def __init__(
        self,
        *,
        calculator: str = "chgnet",
        settings: Mapping[str, Any] | None = None,
        workers: int = 1,
        threads: int = 1,
        atoms_per_batch: int = 256,
        structure_limit_s: float = 60.0,
        relaxation_limit_s: float = 600.0,
        jobs: JobSettings | None = None,
    ) -> None:
        self._pool: WorkerPool | JobPool
        if jobs is None:
            self._pool = WorkerPool(
                handler="oracle_svc.evaluation.calculator_process:worker",
                options={"calculator": calculator, "settings": dict(settings or {})},
                size=workers,
                threads=threads,
            )
        else:
            self._pool = JobPool(
                open_backend(jobs), jobs.folder, calculator=calculator, settings=settings or {}, size=workers
            )
        # A job is one structure: what another one needs is no reason to lose it.
        self._atoms_per_batch = atoms_per_batch if jobs is None else 1
        self._limit_s = structure_limit_s
        self._relaxation_limit_s = relaxation_limit_s
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="calculator")
        self.identity = self._introduce()

    @property
    def workers(self) -> int:
        """Number of processes."""
        return self._pool.size

    def pids(self) -> list[int]:
        """Process ids of the living workers."""
        return self._pool.pids()

    def evaluate(
        self,
        batch: CrystalBatch,
        *,
        with_forces: bool = False,
        stop: Callable[[], bool] | None = None,
        structure_limit_s: float | None = None,
    ) -> Evaluation:
        """Energies of every structure, forces and stress if asked; as `portions`, put together."""
        builder = self._builder(batch.num_atoms, with_forces)
        portions = self.portions(
            batch, with_forces=with_forces, stop=stop, structure_limit_s=structure_limit_s
        )
        for rows, evaluation in portions:
            _collect(builder, batch.num_atoms, rows, evaluation)
        return builder.build()

    def portions(
        self,
        batch: CrystalBatch,
        *,
        with_forces: bool = False,
        stop: Callable[[], bool] | None = None,
        structure_limit_s: float | None = None,
    ) -> Iterator[tuple[list[int], Evaluation]]:
        """Yield indices and their energies as workers finish them; each index comes once.

        A structure that ends or holds its process gets a status, all others their energy.

        Parameters
        ----------
        batch
            Structures that passed the validity gate.
        with_forces
            Give forces and stress too, as far as the calculator has them.
        stop
            Asked between and during requests; once it says True nothing more is computed.
        structure_limit_s
            Time limit of a structure, seconds; the pool's own if None.

        Raises
        ------
        WorkerStoppedError
            `stop` said so.
        """
        limit = self._limit_s if structure_limit_s is None else structure_limit_s
        futures = {
            self._threads.submit(self._evaluate_part, batch.take(part), with_forces, limit, stop): part
            for part in self._packed(batch.num_atoms)
        }
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            _abandon(list(futures))

    def relaxations(
        self,
        batch: CrystalBatch,
        settings: RelaxSettings,
        *,
        stop: Callable[[], bool] | None = None,
        structure_limit_s: float | None = None,
    ) -> Iterator[tuple[int, Relaxed]]:
        """Yield indices and how their relaxations ended, as they end; each index comes once.

        Every step of a relaxation is an evaluation: what ends or holds a process in one costs that structure.

        Parameters
        ----------
        batch, stop, structure_limit_s
            As for `portions`; the limit is of a structure's whole relaxation.
        settings
            How to relax.

        Raises
        ------
        WorkerStoppedError
            `stop` said so.
        """
        limit = self._relaxation_limit_s if structure_limit_s is None else structure_limit_s

        def evaluate(part: CrystalBatch, stopped: Callable[[], bool]) -> Evaluation:
            return self._evaluate_part(part, True, limit, lambda: stopped() or bool(stop and stop()))

        share = -(-batch.total_atoms // self._pool.size)
        yield from relax_side_by_side(
            WalkQueue(batch, settings),
            evaluate,
            threads=self._pool.size,
            limit_s=limit,
            atoms_at_once=min(self._atoms_per_batch, max(1, share)),
        )

    def leave(self) -> None:
        """The service is about to end: jobs in a queue are left to it."""
        if isinstance(self._pool, JobPool):
            self._pool.leave()

    def close(self) -> None:
        """End the processes."""
        self._pool.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _introduce(self) -> CalculatorIdentity:
        try:
            self._pool.warm_up()
            answer = self._pool.call({"describe": True}, time_limit_s=30.0)
        except BaseException:
            self.close()
            raise
        return CalculatorIdentity.unpack(answer)

    def _packed(self, num_atoms: np.ndarray) -> Iterator[list[int]]:
        """Indices of one request each; large structures first, so that all workers end together."""
        # No more than an even share for each worker, or a small batch would keep one busy and the others
        # idle.
        share = -(-int(num_atoms.sum()) // self._pool.size)
        most = min(self._atoms_per_batch, share)
        part: list[int] = []
        atoms = 0
        for index in np.argsort(-num_atoms, kind="stable").tolist():
            if part and atoms + int(num_atoms[index]) > most:
                yield part
                part, atoms = [], 0
            part.append(index)
            atoms += int(num_atoms[index])
        if part:
            yield part

    def _evaluate_part(
        self, part: CrystalBatch, with_forces: bool, limit_s: float, stop: Callable[[], bool] | None
    ) -> Evaluation:
        """Evaluate structures together; if their process is lost, find out one by one whose fault it was."""
        try:
            return self._request(part, with_forces, limit_s, stop)
        except (WorkerDiedError, WorkerTimeoutError) as error:
            if len(part) == 1 and isinstance(error, WorkerTimeoutError):
                return _too_slow(limit_s)
            log.warning(
                "calculator process lost, repeating one by one", structures=len(part), error=str(error)
            )
        builder = self._builder(part.num_atoms, with_forces)
        for row in range(len(part)):
            alone = self._evaluate_one(part.take([row]), with_forces, limit_s, stop)
            _collect(builder, part.num_atoms, [row], alone)
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

    def _builder(self, num_atoms: np.ndarray, with_forces: bool) -> EvaluationBuilder:
        return EvaluationBuilder(
            num_atoms,
            self.identity.embedding_size,
            forces=with_forces and self.identity.offers_forces,
            stress=with_forces and self.identity.offers_stress,
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


def _collect(
    builder: EvaluationBuilder, num_atoms: np.ndarray, rows: Sequence[int], evaluation: Evaluation
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


def _abandon(futures: Sequence[Future[Evaluation]]) -> None:
    """Cancel what has not begun; what runs looks at `stop` itself."""
    for future in futures:
        future.cancel()
