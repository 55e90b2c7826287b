"""All runs of one trainer: started, resumed, stopped, looked up; one at work at a time."""

import asyncio
from pathlib import Path

import structlog

from trainer_svc.config.messages import config_to_proto
from trainer_svc.config.run_config import RunConfig
from trainer_svc.errors import RunStateError
from trainer_svc.runs.checkpoints import Checkpoints
from trainer_svc.runs.directory import RunDirectory, list_runs
from trainer_svc.runs.run_log import RunLog
from trainer_svc.services.remote import Services, patience
from trainer_svc.training.loop import StopRequested, Training
from trainer_svc.training.setup import Preparation
from xenolith.errors import OverloadedError, XenolithError
from xenolith.serving import Worker
from xenolith.v1 import trainer_pb2

__all__ = ["RunManager"]

log = structlog.get_logger(__name__)

_FULL_S = 30.0
_PATIENCE_S = 1800.0
"""How long a service may be away before the run fails; it can be resumed all the same."""


class RunManager:
    """Keeps the runs below one directory."""

    def __init__(self, root: Path, services: Services, worker: Worker, *, max_queued: int = 32) -> None:
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
        """
        root.mkdir(parents=True, exist_ok=True)
        self.root, self.services, self.worker = root, services, worker
        # Two runs on one generator would keep replacing each other's policy.
        self.turn = asyncio.Lock()
        self._most = max_queued
        self._logs: dict[str, RunLog] = {}
        self._trainings: dict[str, Training] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._withdrawn: set[asyncio.Task[None] | None] = set()
        for name in self.names():
            if self.log(name).active:
                self.log(name).set_state(
                    trainer_pb2.RUN_STATE_INTERRUPTED,
                    "the trainer ended while the run was at work; resume it",
                )

    def names(self) -> list[str]:
        """All runs, newest first."""
        return list_runs(self.root)

    def log(self, name: str) -> RunLog:
        """Record and events of a run.

        Raises
        ------
        NoSuchRunError
            There is none of this name.
        """
        if name not in self._logs:
            directory = RunDirectory.open(self.root, name)
            run = directory.read_record() or _new_record(directory, directory.read_config())
            self._logs[name] = RunLog(directory, run)
        return self._logs[name]

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
        known = config.name in self.names()
        if not known:
            self._check_room()
        RunDirectory.create(self.root, config)
        run_log = self.log(config.name)
        if not known:
            run_log.set_state(trainer_pb2.RUN_STATE_QUEUED)
            self._begin(config, run_log)
        return run_log.run

    def resume(self, name: str, steps: int | None) -> trainer_pb2.Run:
        """Go on from the last checkpoint, to more steps if asked.

        Raises
        ------
        RunStateError
            The run is finished, or more steps were asked for while it is at work.
        ConfigError
            Fewer steps than are done.
        """
        run_log, directory = self.log(name), self.directory(name)
        if name in self._tasks:
            if steps is not None:
                raise RunStateError(f"run {name!r} is at work; stop it before giving it more steps")
            return run_log.run
        self._check_room()
        config = directory.read_config()
        if steps is not None and steps != config.steps:
            config = self._extend(config, directory, run_log, steps)
        elif run_log.run.state == trainer_pb2.RUN_STATE_SUCCEEDED:
            raise RunStateError(f"run {name!r} is finished; give a larger number of steps to go on")
        run_log.set_state(trainer_pb2.RUN_STATE_QUEUED)
        self._begin(config, run_log)
        return run_log.run

    def stop(self, name: str) -> trainer_pb2.Run:
        """Ask a run to stop after the step at work, or to leave the queue; no error if it is in neither."""
        run_log = self.log(name)
        if name in self._trainings:
            self._trainings[name].stop()
        elif name in self._tasks:
            self._withdrawn.add(self._tasks[name])
            self._tasks.pop(name).cancel()
            run_log.set_state(trainer_pb2.RUN_STATE_STOPPED, "stopped before its turn; resume it to go on")
        return run_log.run

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

    def _begin(self, config: RunConfig, run_log: RunLog) -> None:
        task = asyncio.create_task(self._drive(config, run_log), name=f"run {config.name}")
        self._tasks[config.name] = task
        task.add_done_callback(lambda done: self._forget(config.name, done))

    def _forget(self, name: str, task: "asyncio.Task[None]") -> None:
        self._withdrawn.discard(task)
        if self._tasks.get(name) is task:
            del self._tasks[name]

    async def _drive(self, config: RunConfig, run_log: RunLog) -> None:
        # The run outlives the call that started it.
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(run_id=config.name)
        try:
            waiting = patience(_PATIENCE_S, on_wait=run_log.waiting, on_return=run_log.working)
            async with self.turn, self.services.connect(config.name, waiting) as services:
                preparation = Preparation(self.directory(config.name), config, run_log, services, self.worker)
                training = Training(preparation)
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
            log.error("run failed", error=str(error))
            run_log.set_state(trainer_pb2.RUN_STATE_FAILED, str(error))
        except Exception as error:
            # Whatever it is, watchers must learn that the run ended.
            log.exception("run failed")
            run_log.set_state(
                trainer_pb2.RUN_STATE_FAILED, f"internal error: {type(error).__name__}: {error}"
            )
        finally:
            self._trainings.pop(config.name, None)

    def _extend(self, config: RunConfig, directory: RunDirectory, run_log: RunLog, steps: int) -> RunConfig:
        if steps <= run_log.run.steps_done:
            raise RunStateError(f"run {config.name!r} has done {run_log.run.steps_done} steps; ask for more")
        longer = config.model_copy(update={"steps": steps})
        directory.write_config(longer)
        Checkpoints(directory.checkpoints, keep=1_000).clear_stop_reason()
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
