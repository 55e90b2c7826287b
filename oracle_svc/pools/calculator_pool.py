"""The calculator, in worker processes: a crash or a hang costs one structure, not the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextvars import copy_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle_svc.calculators.base import Evaluation
from oracle_svc.environments import interpreter_of
from oracle_svc.pools.calculator_process import CalculatorIdentity
from oracle_svc.pools.calculator_requests import Requests, collect
from oracle_svc.pools.jobs import JobPool, JobSettings, open_backend
from oracle_svc.pools.worker_pool import WorkerPool
from oracle_svc.relaxation import Relaxed, RelaxSettings
from oracle_svc.relaxation.batch import WalkQueue
from oracle_svc.relaxation.threads import relax_side_by_side
from xenolith.crystal import CrystalBatch

__all__ = ["CalculatorIdentity", "CalculatorPool"]


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
        Evaluate each structure as a job of its own, `workers` at once; None: in worker processes, of an
        environment of their own where the calculator needs one.

    Raises
    ------
    EnvironmentFailedError
        That environment could not be made.
    WorkerError
        A process could not open the calculator.
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
                handler="oracle_svc.pools.calculator_process:worker",
                options={"calculator": calculator, "settings": dict(settings or {})},
                size=workers,
                threads=threads,
                interpreter=interpreter_of(calculator),
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
        self._requests = Requests(self._pool, self.identity)

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
        builder = self._requests.builder(batch.num_atoms, with_forces)
        portions = self.portions(
            batch, with_forces=with_forces, stop=stop, structure_limit_s=structure_limit_s
        )
        for rows, evaluation in portions:
            collect(builder, batch.num_atoms, rows, evaluation)
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
            # In the context of who asks, so that log lines name the request.
            self._threads.submit(
                copy_context().run, self._requests.evaluate, batch.take(part), with_forces, limit, stop
            ): part
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
            return self._requests.evaluate(part, True, limit, lambda: stopped() or bool(stop and stop()))

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

    def _packed(self, num_atoms: NDArray[np.integer]) -> Iterator[list[int]]:
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


def _abandon(futures: Sequence[Future[Evaluation]]) -> None:
    """Cancel what has not begun; what runs looks at `stop` itself."""
    for future in futures:
        future.cancel()
