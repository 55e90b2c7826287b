"""All runs of one trainer: started, resumed, stopped, looked up; one at work at a time."""

import asyncio
import errno
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import structlog

from trainer_svc.config.messages import config_to_proto
from trainer_svc.config.run_config import RunConfig
from trainer_svc.errors import BrokenRunError, DiskFullError, RunLockedError, RunStateError
from trainer_svc.runs.checkpoints import Checkpoints
from trainer_svc.runs.directory import RunDirectory, hide_run, list_runs, remove_deleted
from trainer_svc.runs.lock import RunLock
from trainer_svc.runs.run_log import ACTIVE, RunLog
from trainer_svc.runs.totals import RunTotals
from trainer_svc.services.remote import Services, patience
from trainer_svc.training.loop import StopRequested, Training
from trainer_svc.training.setup import Preparation
from xenolith.contract.states import run_state_name
from xenolith.errors import OverloadedError, XenolithError
from xenolith.serving import Worker
from xenolith.serving.metric_sample import MetricSample
from xenolith.tracing import CallContext, enter_call
from xenolith.v1 import trainer_pb2

__all__ = ["RunManager"]

log = structlog.get_logger(__name__)

_FULL_S = 30.0
_PATIENCE_S = 1800.0
"""How long a service may be away before the run fails; it can be resumed all the same."""
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_Stamp = tuple[int, int]


class RunManager:
    """Keeps the runs below one directory."""

    def __init__(
        self,
        root: Path,
        services: Services,
        worker: Worker,
        *,
        max_queued: int = 32,
        reserve_bytes: int = 0,
    ) -> None:
        """Take over a directory; runs that an earlier process left at work become interrupted.

        Parameters
        ----------
        root
            Directory of all runs.
        services
            How generator and oracle are reached.
        worker
            Thread for everything that computes.
        max_queued
            Runs at work and waiting for their turn; more are refused.
        reserve_bytes
            What a step has to leave free on the disk beside its checkpoint; else the run fails before it.
        """
        root.mkdir(parents=True, exist_ok=True)
        remove_deleted(root)
        self.root, self.services, self.worker = root, services, worker
        # Two runs on one generator would keep replacing each other's policy.
        self.turn = asyncio.Lock()
        self._most, self._reserve = max_queued, reserve_bytes
        self._logs: dict[str, tuple[RunLog, _Stamp]] = {}
        self._locks: dict[str, RunLock] = {}
        self._trainings: dict[str, Training] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._withdrawn: set[asyncio.Task[None] | None] = set()
        self._totals = RunTotals()
        for name in self.names():
            try:
                self.log(name)
            except BrokenRunError as error:
                log.error("a run is set aside", run_id=name, error=str(error))

    def names(self) -> list[str]:
        """All runs, newest first."""
        return list_runs(self.root)

    def run(self, name: str) -> trainer_pb2.Run:
        """Record of a run; of one whose files cannot be read, what is wrong with them, as a failure.

        Raises
        ------
        NoSuchRunError
            There is none of this name.
        """
        try:
            return self.log(name).run
        except BrokenRunError as error:
            return trainer_pb2.Run(
                name=name,
                state=trainer_pb2.RUN_STATE_FAILED,
                message=f"set aside: {error}",
                directory=str(self.directory(name).path),
            )

    def log(self, name: str) -> RunLog:
        """Record and events of a run, which another trainer may be writing.

        Raises
        ------
        NoSuchRunError
            There is none of this name.
        BrokenRunError
            Its files cannot be read.
        """
        directory = RunDirectory.open(self.root, name)
        if name in self._locks:
            return self._logs[name][0]
        known, stamp = self._logs.get(name), _stamp(directory)
        if known is None or known[1] != stamp:
            known = self._read(directory), stamp
            self._logs[name] = known
        if known[0].active and (lock := _lock_if_free(directory)):
            try:
                known[0].set_state(
                    trainer_pb2.RUN_STATE_INTERRUPTED,
                    "the trainer ended while the run was at work; resume it",
                )
                self._logs[name] = known[0], _stamp(directory)
            finally:
                lock.release()
        return known[0]

    def log_to_watch(self, name: str) -> RunLog:
        """Record and events of a run that this trainer works on, or nobody.

        Raises
        ------
        RunLockedError
            Another trainer works on it, so that this one does not see its events as they come.
        """
        run_log = self.log(name)
        if run_log.active and name not in self._locks:
            RunLock.take(self.directory(name).path).release()
        return run_log

    def directory(self, name: str) -> RunDirectory:
        """Directory of an existing run."""
        return RunDirectory.open(self.root, name)

    def start(self, config: RunConfig) -> trainer_pb2.Run:
        """Start a run, or return the one that has this very configuration.

        Raises
        ------
        RunExistsError
            The name is taken by another configuration.
        """
        if config.name in self.names():
            RunDirectory.create(self.root, config)
            return self.log(config.name).run
        self._check_room()
        with _disk_errors(self.root):
            directory = RunDirectory.create(self.root, config)
            lock = RunLock.take(directory.path)
            try:
                return self._begin(config, directory, self.log(config.name), lock)
            except BaseException:
                lock.release()
                raise

    def resume(self, name: str, steps: int | None, from_step: int | None = None) -> trainer_pb2.Run:
        """Go on from the last checkpoint, or that of `from_step`, to more steps if asked.

        Raises
        ------
        RunStateError
            The run is finished, or is at work and was asked for more steps or to go back.
        RunLockedError
            Another trainer works on it.
        OverloadedError
            The queue is full.
        ConfigError
            Fewer steps than are done.
        CheckpointError
            That of `from_step` is not kept.
        """
        if name in self._tasks:
            if steps is not None or from_step is not None:
                raise RunStateError(
                    f"run {name!r} is at work; stop it before giving it more steps, or another to go on from"
                )
            return self.log(name).run
        self._check_room()
        directory = self.directory(name)
        lock = RunLock.take(directory.path)
        try:
            # Read after the lock was taken: another trainer may have worked on it until then.
            run_log, config = self.log(name), directory.read_config()
            with _disk_errors(self.root):
                if from_step is not None:
                    Checkpoints(directory.checkpoints, keep=1_000).expect(from_step)
                if steps is not None and steps != config.steps:
                    config = self._extend(config, directory, run_log, steps, from_step)
                elif run_log.run.state == trainer_pb2.RUN_STATE_SUCCEEDED and from_step is None:
                    raise RunStateError(f"run {name!r} is finished; give a larger number of steps to go on")
                return self._begin(config, directory, run_log, lock, from_step)
        except BaseException:
            lock.release()
            raise

    def stop(self, name: str) -> trainer_pb2.Run:
        """Ask a run to stop after the step at work, or to leave the queue; no error if it is in neither.

        Raises
        ------
        RunLockedError
            Another trainer works on it.
        """
        run_log = self.log_to_watch(name)
        if name in self._trainings:
            self._trainings[name].stop()
        elif name in self._tasks:
            self._withdrawn.add(self._tasks[name])
            self._tasks.pop(name).cancel()
            run_log.set_state(trainer_pb2.RUN_STATE_STOPPED, "stopped before its turn; resume it to go on")
            self._free(self.directory(name), name)
        return run_log.run

    def metric_samples(self) -> Iterator[MetricSample]:
        """Return what its runs have done, and in which states the unfinished ones are."""
        states = Counter(self._logs[name][0].state for name in list(self._tasks))
        for state in sorted(ACTIVE):
            yield MetricSample(
                name="xenolith_trainer_runs",
                help="Runs at work or in the queue, by state; WAITING is for a service that is away.",
                value=states[state],
                labels={"state": run_state_name(state)},
                kind="gauge",
            )
        yield from self._totals.metric_samples()

    async def delete(self, name: str) -> None:
        """Remove a run with all its files, also one that is broken.

        Raises
        ------
        RunStateError
            It is at work, or waits for its turn.
        RunLockedError
            Another trainer works on it.
        NoSuchRunError
            There is none of this name.
        """
        directory = self.directory(name)
        if name in self._tasks:
            raise RunStateError(f"run {name!r} is at work or waits for its turn; stop it before deleting it")
        lock = RunLock.take(directory.path)
        try:
            hide_run(directory.path)
            self._logs.pop(name, None)
        finally:
            lock.release()
        log.info("run deleted", run_id=name)
        # Gone for everybody already; a large one takes a while.
        await asyncio.to_thread(remove_deleted, self.root)

    @property
    def max_queued(self) -> int:
        """Runs at work and waiting for their turn, at most."""
        return self._most

    def _check_room(self) -> None:
        if len(self._tasks) >= self._most:
            raise OverloadedError(
                f"{len(self._tasks)} runs are at work or wait for their turn, all that this trainer takes;"
                " stop one, or come again later",
                retry_after_s=_FULL_S,
            )

    async def close(self) -> None:
        """Leave all runs as they are; they can be resumed."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _read(self, directory: RunDirectory) -> RunLog:
        run = directory.read_record() or _new_record(directory, directory.read_config())
        return RunLog(directory, run)

    def _begin(
        self,
        config: RunConfig,
        directory: RunDirectory,
        run_log: RunLog,
        lock: RunLock,
        from_step: int | None = None,
    ) -> trainer_pb2.Run:
        """Give a run that is locked its place in the queue."""
        run_log.set_state(trainer_pb2.RUN_STATE_QUEUED)
        self._locks[config.name] = lock
        task = asyncio.create_task(self._drive(config, run_log, from_step), name=f"run {config.name}")
        self._tasks[config.name] = task
        task.add_done_callback(lambda done: self._forget(directory, config.name, done))
        return run_log.run

    def _forget(self, directory: RunDirectory, name: str, task: "asyncio.Task[None]") -> None:
        self._withdrawn.discard(task)
        if self._tasks.get(name) is task:
            del self._tasks[name]
            self._free(directory, name)

    def _free(self, directory: RunDirectory, name: str) -> None:
        """Let others work on a run."""
        # What is in memory stands also where the disk was too full for it.
        self._logs[name] = self._logs[name][0], _stamp(directory)
        self._locks.pop(name).release()

    async def _drive(self, config: RunConfig, run_log: RunLog, from_step: int | None) -> None:
        # The run outlives the call that started it.
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(run_id=config.name)
        enter_call(CallContext(run_id=config.name))
        end_counting = run_log.events.subscribe(partial(self._totals.add, config.name))
        try:
            waiting = patience(_PATIENCE_S, on_wait=run_log.waiting, on_return=run_log.working)
            async with self.turn, self.services.connect(config.name, waiting) as services:
                directory = self.directory(config.name)
                preparation = Preparation(directory, config, run_log, services, self.worker, from_step)
                training = Training(preparation, self._reserve)
                self._trainings[config.name] = training
                await training.run()
        except StopRequested:
            run_log.set_state(trainer_pb2.RUN_STATE_STOPPED, "stopped on demand; resume it to go on")
        except asyncio.CancelledError:
            if asyncio.current_task() in self._withdrawn:
                raise
            run_log.set_state(trainer_pb2.RUN_STATE_INTERRUPTED, "the trainer is shutting down; resume it")
            raise
        except XenolithError as error:
            # Told before it is logged: the log may lie on the disk that is full.
            run_log.set_state(trainer_pb2.RUN_STATE_FAILED, str(error))
            log.error("run failed", error=str(error))
        except Exception as error:
            # Whatever it is, watchers must learn that the run ended.
            if _is_disk_full(error):
                run_log.set_state(trainer_pb2.RUN_STATE_FAILED, str(_disk_full(self.root, error)))
            else:
                message = f"internal error: {type(error).__name__}: {error}"
                run_log.set_state(trainer_pb2.RUN_STATE_FAILED, message)
            with suppress(OSError):
                log.exception("run failed")
        finally:
            self._trainings.pop(config.name, None)
            end_counting()

    def _extend(
        self, config: RunConfig, directory: RunDirectory, run_log: RunLog, steps: int, from_step: int | None
    ) -> RunConfig:
        done = run_log.run.steps_done if from_step is None else from_step
        if steps <= done:
            raise RunStateError(f"run {config.name!r} has done {done} steps; ask for more")
        longer = config.model_copy(update={"steps": steps})
        directory.write_config(longer)
        Checkpoints(directory.checkpoints, keep=1_000).clear_stop_reason(from_step)
        run_log.forget_tuned(config_to_proto(longer))
        return longer


def _new_record(directory: RunDirectory, config: RunConfig) -> trainer_pb2.Run:
    run = trainer_pb2.Run(
        name=config.name,
        config=config_to_proto(config),
        steps_total=config.steps,
        directory=str(directory.path),
    )
    run.create_time.GetCurrentTime()
    return run


def _lock_if_free(directory: RunDirectory) -> RunLock | None:
    try:
        return RunLock.take(directory.path)
    except RunLockedError:
        return None


def _stamp(directory: RunDirectory) -> _Stamp:
    """Tell whether the files of a run have changed since they were read."""
    record, events = directory.record, directory.events
    return (
        record.stat().st_mtime_ns if record.exists() else 0,
        events.stat().st_size if events.exists() else 0,
    )


@contextmanager
def _disk_errors(root: Path) -> Iterator[None]:
    """Say what to do about a disk that is full."""
    try:
        yield
    except OSError as error:
        if not _is_disk_full(error):
            raise
        raise _disk_full(root, error) from error


def _is_disk_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in _DISK_FULL
    # What safetensors and Arrow raise keeps the system's number in its words alone.
    return any(f"(os error {number})" in str(error) for number in _DISK_FULL)


def _disk_full(root: Path, error: BaseException) -> DiskFullError:
    return DiskFullError(
        f"the disk that holds {root} takes no more ({error}); free some room and resume the run,"
        " which goes on from its last checkpoint"
    )
