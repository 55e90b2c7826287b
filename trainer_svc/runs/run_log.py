"""Public record of a run: its record, its events, its TensorBoard; kept together."""

import time

from trainer_svc.runs.directory import RunDirectory
from trainer_svc.runs.events import EventLog
from xenolith.v1 import trainer_pb2

__all__ = ["ACTIVE", "RunLog"]

ACTIVE = frozenset(
    {
        trainer_pb2.RUN_STATE_QUEUED,
        trainer_pb2.RUN_STATE_EVALUATING_BASE,
        trainer_pb2.RUN_STATE_RUNNING,
        trainer_pb2.RUN_STATE_EVALUATING_TUNED,
        trainer_pb2.RUN_STATE_REPORTING,
        trainer_pb2.RUN_STATE_WAITING,
    }
)
"""States of a run that somebody works on."""


class RunLog:
    """Record and events of one run; safe to use from any thread."""

    def __init__(self, directory: RunDirectory, run: trainer_pb2.Run) -> None:
        self._directory, self._run = directory, run
        self._worked_before = run.wall_s
        self._began: float | None = None
        self._before_waiting = run.state
        self.events = EventLog(directory.events)

    @property
    def run(self) -> trainer_pb2.Run:
        """A copy of the record, up to date."""
        copy = trainer_pb2.Run()
        copy.CopyFrom(self._run)
        copy.wall_s = self.wall_s
        copy.artifacts[:] = sorted(self._directory.artifacts())
        return copy

    @property
    def state(self) -> trainer_pb2.RunState:
        """State, as far as the record knows."""
        return self._run.state

    @property
    def active(self) -> bool:
        """Whether the run is being worked on, as far as the record knows."""
        return self._run.state in ACTIVE

    @property
    def wall_s(self) -> float:
        """Seconds at work over all resumptions."""
        return self._worked_before + (time.monotonic() - self._began if self._began is not None else 0.0)

    def begin(self) -> None:
        """Start the clock."""
        self._began = time.monotonic()
        self._run.ClearField("end_time")

    def set_state(self, state: trainer_pb2.RunState, message: str = "") -> None:
        """Change the state, tell the watchers, save.

        That a run ended is told also where the disk takes nothing any more: nobody may wait for it in vain.

        Raises
        ------
        OSError
            The run goes on, and the state cannot be saved.
        """
        if state != trainer_pb2.RUN_STATE_WAITING:
            self._before_waiting = state
        self._run.state, self._run.message = state, message
        if state not in ACTIVE:
            self._run.end_time.GetCurrentTime()
        ended = state not in ACTIVE
        # The record first: whoever is told of the end finds it there.
        try:
            self.save()
        except OSError:
            if not ended:
                raise
        change = trainer_pb2.RunStateChange(state=state, message=message)
        self.events.append(trainer_pb2.WatchRunResponse(state=change), told_anyway=ended)

    def waiting(self, message: str) -> None:
        """Note that a service is away."""
        self._run.state, self._run.message = trainer_pb2.RUN_STATE_WAITING, message
        self.warn(message)
        self.save()

    def working(self) -> None:
        """Note that it is back."""
        if self._run.state == trainer_pb2.RUN_STATE_WAITING:
            self._run.state, self._run.message = self._before_waiting, ""
            self.save()
            back = trainer_pb2.RunStateChange(state=self._run.state, message="it is back; the run goes on")
            self.events.append(trainer_pb2.WatchRunResponse(state=back))

    def update(self, **fields: object) -> None:
        """Set plain or message fields of the record and save."""
        for name, value in fields.items():
            if hasattr(value, "DESCRIPTOR"):
                getattr(self._run, name).CopyFrom(value)
            else:
                setattr(self._run, name, value)
        self.save()

    def forget_tuned(self, config: trainer_pb2.RunConfig) -> None:
        """Take a longer configuration: the tuned policy has to be evaluated again."""
        self._run.ClearField("tuned")
        self._run.steps_total = config.steps
        self.update(config=config)

    def go_back(self, step: int) -> None:
        """Take up an earlier step: what came after it is going to be repeated."""
        for later in ("tuned", "last_step", "chosen_step"):
            self._run.ClearField(later)
        self.warn(f"going back from step {self._run.steps_done} to the checkpoint of step {step}")
        self.update(steps_done=step)

    def save(self) -> None:
        """Write the record."""
        self._run.update_time.GetCurrentTime()
        self._directory.write_record(self.run)

    def warn(self, message: str) -> None:
        """Tell the watchers something."""
        self.events.append(trainer_pb2.WatchRunResponse(warning=message))

    def progress(self, stage: str, done: int, total: int) -> None:
        """Tell the watchers how far a long stage is."""
        self.events.append(
            trainer_pb2.WatchRunResponse(progress=trainer_pb2.Progress(stage=stage, done=done, total=total))
        )
