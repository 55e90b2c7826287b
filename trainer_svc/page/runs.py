"""Runs as the page draws them: a row of the list, a record with its curves, an event of a run at work."""

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from trainer_svc.errors import NoSuchRunError
from trainer_svc.runs.directory import RunDirectory
from trainer_svc.runs.events import last_steps
from trainer_svc.runs.run_log import ACTIVE, RunLog
from trainer_svc.runs.summary import evaluation_summary
from trainer_svc.training.manager import RunManager
from xenolith.contract.states import run_state_name
from xenolith.files import without_nan
from xenolith.headlines import PRINCIPAL_HEADLINES
from xenolith.v1 import trainer_pb2

__all__ = ["Runs", "event_document", "run_document", "step_document", "to_json"]

T = TypeVar("T")

MOST_STEPS = 1_500
"""Steps of a curve; of longer runs every second, third, ... is given, and the last ones."""
_AT_ONCE = 20
_MOST_WARNINGS = 50
_LONGEST_TEXT = 2_000
_NUMBERS = ("reward_mean", "reward_std", "kl", "clip_fraction", "ratio_deviation", "grad_norm", "loss")


class Runs:
    """The run manager as other event loops reach it: whatever it keeps in memory is asked for on its own.

    Parameters
    ----------
    manager
        All runs of the trainer.
    loop
        Event loop that the manager belongs to.
    """

    def __init__(self, manager: RunManager, loop: asyncio.AbstractEventLoop) -> None:
        self._manager, self._loop = manager, loop

    async def names(self) -> list[str]:
        """All runs, newest first."""
        # It only looks at the folder, for which any thread will do.
        return await asyncio.to_thread(self._manager.names)

    async def rows(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return the rows of these runs, those left out that are gone."""
        rows = []
        # A few at a time, so that calls of the service come in between.
        for first in range(0, len(names), _AT_ONCE):
            records = await self._there(self._records, names[first : first + _AT_ONCE])
            rows += [_row(run) for run in records]
        return rows

    async def record(self, name: str) -> trainer_pb2.Run:
        """Record of a run; of one that cannot be read, what is wrong with it."""
        return await self._there(self._manager.run, name)

    async def log(self, name: str) -> RunLog:
        """Record and events of a run."""
        return await self._there(self._manager.log, name)

    async def log_to_watch(self, name: str) -> RunLog:
        """As `log`, of a run that this trainer works on, or nobody."""
        return await self._there(self._manager.log_to_watch, name)

    async def directory(self, name: str) -> RunDirectory:
        """Directory of an existing run."""
        return await self._there(self._manager.directory, name)

    def _records(self, names: Sequence[str]) -> list[trainer_pb2.Run]:
        records = []
        for name in names:
            with suppress(NoSuchRunError):
                records.append(self._manager.run(name))
        return records

    async def _there(self, function: Callable[..., T], *args: object) -> T:
        async def call() -> T:
            return function(*args)

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call(), self._loop))


def run_document(run_log: RunLog) -> dict[str, Any]:
    """Return everything about a run but its structures."""
    run = run_log.run
    events = run_log.events.after(0)
    steps = last_steps(events)
    shown = _thinned(steps)
    kinds = [event.WhichOneof("event") for event in events]
    warnings = [event for event, kind in zip(events, kinds, strict=True) if kind == "warning"]
    return {
        **_row(run),
        "sequence": events[-1].sequence if events else 0,
        "steps": [step_document(step) for step in shown],
        "thinned": len(shown) < len(steps),
        "evaluations": [
            event_document(event)
            for event, kind in zip(events, kinds, strict=True)
            if kind == "evaluation" and event.evaluation.choosing
        ][-MOST_STEPS:],
        "warnings": [event_document(event) for event in warnings[-_MOST_WARNINGS:]],
        "progress": event_document(events[-1]) if kinds and kinds[-1] == "progress" else None,
        "base": evaluation_summary(run.base) if run.HasField("base") else None,
        "tuned": evaluation_summary(run.tuned) if run.HasField("tuned") else None,
        "suspicious_below": run.config.suspicious_below,
        "calculator": run.score_provenance.calculator_id,
        "reference": run.score_provenance.reference_id,
        "hull": run.score_provenance.hull_id,
        "bundle": run.bundle_name,
        "policy_version": run.policy_version,
        "oracle_calls": run.oracle_calls,
        "artifacts": list(run.artifacts),
        "headlines": [
            {"name": metric.name, "label": metric.label, "words": metric.words}
            for metric in PRINCIPAL_HEADLINES
        ],
    }


def step_document(step: trainer_pb2.StepEvent) -> dict[str, Any]:
    """Return the numbers of a step."""
    return {
        "step": step.step,
        **{name: getattr(step, name) for name in _NUMBERS},
        "terms": {term.name: term.mean for term in step.terms},
        "metrics": dict(step.metrics),
        "seconds": dict(step.timings),
    }


def event_document(event: trainer_pb2.WatchRunResponse) -> dict[str, Any]:
    """Return an event, with its kind under ``kind``."""
    kind = event.WhichOneof("event") or ""
    document: dict[str, Any] = {"kind": kind, "sequence": event.sequence, "time": event.time.ToJsonString()}
    if kind == "step":
        document |= step_document(event.step)
    elif kind == "state":
        document |= {"state": run_state_name(event.state.state), "message": _short(event.state.message)}
    elif kind == "warning":
        document["message"] = _short(event.warning)
    elif kind == "progress":
        progress = event.progress
        document |= {"stage": progress.stage, "done": progress.done, "total": progress.total}
    elif kind == "evaluation":
        evaluation = event.evaluation
        document |= {"step": evaluation.step, "msun": evaluation.evaluation.msun.value}
    return document


def to_json(document: Any) -> bytes:
    """Write a document as JSON; numbers that are none become null."""
    return json.dumps(without_nan(document), ensure_ascii=False, separators=(",", ":")).encode()


def _row(run: trainer_pb2.Run) -> dict[str, Any]:
    return {
        "name": run.name,
        "state": run_state_name(run.state),
        "active": run.state in ACTIVE,
        "message": _short(run.message),
        "algorithm": run.config.algorithm,
        "steps_done": run.steps_done,
        "steps_total": run.steps_total,
        "created": run.create_time.ToJsonString() if run.HasField("create_time") else None,
        "wall_s": run.wall_s,
        "msun_base": run.base.msun.value if run.HasField("base") else None,
        "msun_tuned": run.tuned.msun.value if run.HasField("tuned") else None,
    }


def _thinned(steps: list[trainer_pb2.StepEvent]) -> list[trainer_pb2.StepEvent]:
    if len(steps) <= MOST_STEPS:
        return steps
    stride = math.ceil(len(steps) / (MOST_STEPS - 1))
    return [*steps[:-1:stride], steps[-1]]


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
