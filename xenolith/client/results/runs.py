"""Answers of the trainer, as dataclasses over its messages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf import json_format

from xenolith.contract.evaluations import audit_figures, estimate_of, further_novelty
from xenolith.contract.states import RUN_ENDED, run_state_name
from xenolith.errors import DataLossError, InternalError
from xenolith.headlines import HEADLINES, RELAXED_HEADLINES, Headline
from xenolith.v1 import trainer_pb2

__all__ = ["Artifact", "Event", "Run", "RunPage", "evaluation_dict", "message_dict"]

_PREFIX = "relaxed_"
"""Begins the names of metrics of relaxed samples."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A training run."""

    name: str
    """Name."""
    state: str
    """``QUEUED``, ``RUNNING``, ``SUCCEEDED``, ...; see ``RunState``."""
    message: str
    """Why it waits, failed or stopped."""
    steps_done: int
    """Steps done."""
    steps_total: int
    """Steps planned."""
    directory: str
    """Directory on the trainer's machine."""
    artifacts: tuple[str, ...]
    """Files that `get_artifact` can read."""
    proto: trainer_pb2.Run
    """Everything else."""

    @property
    def ended(self) -> bool:
        """Whether it does nothing any more."""
        return self.proto.state in RUN_ENDED

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return message_dict(self.proto)


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """Some runs, newest first."""

    runs: tuple[Run, ...]
    """The runs."""
    next_page_token: str
    """For the next page; empty when there is none."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened in a run."""

    sequence: int
    """Rises by one with each event of the run."""
    time: datetime
    """When, UTC."""
    kind: str
    """``state``, ``step``, ``evaluation``, ``warning`` or ``progress``: the field of `proto` that is set."""
    proto: trainer_pb2.WatchRunResponse
    """What."""

    @property
    def state(self) -> str:
        """New state, of an event of that kind; else empty."""
        return run_state_name(self.proto.state.state) if self.kind == "state" else ""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return message_dict(self.proto)


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file of a run."""

    name: str
    """Its name."""
    media_type: str
    """Its media type."""
    data: bytes
    """Its content."""


def run_from_proto(message: trainer_pb2.Run) -> Run:
    """Return the run of a message."""
    return Run(
        name=message.name,
        state=run_state_name(message.state),
        message=message.message,
        steps_done=message.steps_done,
        steps_total=message.steps_total,
        directory=message.directory,
        artifacts=tuple(message.artifacts),
        proto=message,
    )


def event_from_proto(message: trainer_pb2.WatchRunResponse) -> Event:
    """Return the event of a message."""
    return Event(
        sequence=message.sequence,
        time=message.time.ToDatetime(tzinfo=UTC),
        kind=message.WhichOneof("event") or "",
        proto=message,
    )


def message_dict(message: Any) -> dict[str, Any]:
    """Return a message as JSON-ready values under the contract's own field names."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def evaluation_dict(evaluation: trainer_pb2.Evaluation) -> dict[str, Any]:
    """Return an evaluation under the keys of ``card.json`` and ``summary.json``; shares in [0, 1]."""
    values: dict[str, Any] = {"n": evaluation.n}
    values |= _shares(evaluation, HEADLINES)
    values |= {name: share and share.value for name, share in further_novelty(evaluation).items()}
    plain = {name: value for name, value in evaluation.metrics.items() if not name.startswith(_PREFIX)}
    values |= dict(sorted(plain.items()))
    if evaluation.audits:
        values["audit"] = audit_figures(evaluation.audits)
    if evaluation.HasField("relaxed"):
        values["relaxed"] = _shares(evaluation.relaxed, RELAXED_HEADLINES)
        after = {n.removeprefix(_PREFIX): v for n, v in evaluation.metrics.items() if n.startswith(_PREFIX)}
        values["relaxed"] |= dict(sorted(after.items()))
        if evaluation.relaxed.audits:
            values["relaxed"]["audit"] = audit_figures(evaluation.relaxed.audits)
    return values


def _shares(
    evaluation: trainer_pb2.Evaluation | trainer_pb2.RelaxedEvaluation, metrics: Sequence[Headline]
) -> dict[str, Any]:
    """Return shares by name, None where not measured, and the interval of the one that matters most."""
    found = {metric.name: estimate_of(evaluation, metric.name) for metric in metrics}
    values: dict[str, Any] = {name: share and share.value for name, share in found.items()}
    msun = found["msun"]
    return values | {"msun_ci95": msun and [msun.low, msun.high]}


class EvaluationCollector:
    """Passes progress on and keeps the result."""

    def __init__(self, on_progress: Callable[[str, int, int], None] | None) -> None:
        self._on_progress = on_progress
        self._result: trainer_pb2.Evaluation | None = None

    def add(self, message: trainer_pb2.EvaluateResponse) -> None:
        """Take the next message."""
        if message.WhichOneof("event") == "evaluation":
            self._result = message.evaluation
        elif self._on_progress:
            self._on_progress(message.progress.stage, message.progress.done, message.progress.total)

    def finish(self) -> trainer_pb2.Evaluation:
        """Return the result."""
        if self._result is None:
            raise InternalError("the trainer ended the evaluation without a result")
        return self._result


class ArtifactCollector:
    """Puts the pieces of a file together."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._data = bytearray()
        self._first: trainer_pb2.GetArtifactResponse | None = None

    def add(self, message: trainer_pb2.GetArtifactResponse) -> None:
        """Take the next piece."""
        self._first = self._first or message
        self._data += message.data

    def finish(self) -> Artifact:
        """Return the file."""
        if self._first is None or len(self._data) != self._first.total_bytes:
            raise DataLossError(f"{self._name} arrived incomplete; ask for it again")
        return Artifact(name=self._name, media_type=self._first.media_type, data=bytes(self._data))
