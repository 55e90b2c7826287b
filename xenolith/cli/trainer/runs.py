"""Following a run: its events as bars and lines, its outcome as a table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xenolith.cli.output import table
from xenolith.cli.progress import Progress
from xenolith.client import Client, Event, Run
from xenolith.client.results.runs import evaluation_dict
from xenolith.contract.evaluations import estimate_of, further_novelty
from xenolith.errors import XenolithError
from xenolith.headlines import PRINCIPAL_HEADLINES, RELAXED_HEADLINES
from xenolith.intervals import Estimate
from xenolith.v1 import trainer_pb2

__all__ = ["ensure_succeeded", "fetch", "follow", "outcome", "rows", "summary"]

_MOST_LOSSES = 3


def follow(client: Client, run: Run, out: Any) -> Run:
    """Show the events of a run until it ends; return it as it then is.

    A run whose trainer was lost and came back is taken up again, as long as that gets it further.
    """
    seen, lost_at, losses = 0, -1, 0
    with Progress(out) as progress:
        while True:
            for event in client.trainer.watch_run(run.name, after_sequence=seen):
                seen = event.sequence
                for line in _shown(event, run, progress):
                    progress.print(line)
            ended = client.trainer.get_run(run.name)
            losses = losses + 1 if ended.steps_done == lost_at else 1
            lost_at = ended.steps_done
            if ended.state != "INTERRUPTED" or losses > _MOST_LOSSES:
                return ended
            progress.print(f"going on with run {run.name} after step {ended.steps_done}")
            client.trainer.resume_run(run.name)


def _shown(event: Event, run: Run, progress: Progress) -> Iterator[str]:
    """Update the bars and yield the lines for one event."""
    if event.kind == "step":
        step = event.proto.step
        progress.update("steps", step.step, run.steps_total, _step_note(step))
        yield from (f"step {step.step}: warning: {warning}" for warning in step.warnings)
    elif event.kind == "progress":
        at = event.proto.progress
        progress.update(at.stage, at.done, at.total or None)
    elif event.kind == "state":
        message = event.proto.state.message
        yield event.state.lower().replace("_", " ") + (f": {message}" if message else "")
    elif event.kind == "evaluation":
        evaluation = event.proto.evaluation
        which = "base" if evaluation.step == 0 else f"after step {evaluation.step}"
        yield f"{which}: mSUN {_share(evaluation.evaluation, 'msun')} of {evaluation.evaluation.n} samples"
    elif event.kind == "warning":
        yield f"warning: {event.proto.warning}"


def _step_note(step: trainer_pb2.StepEvent) -> str:
    shares = " ".join(
        f"{name} {step.metrics[name]:.0%}" for name in ("valid", "novel", "msun") if name in step.metrics
    )
    return f"reward {step.reward_mean:+.3f} {shares} kl {step.kl:.1e}"


def outcome(run: Run) -> Any:
    """Return the table of a run's base and tuned policy."""
    base = run.proto.base if run.proto.HasField("base") else None
    tuned = run.proto.tuned if run.proto.HasField("tuned") else None
    return table(f"run {run.name}", ["", "base", "tuned"], rows(base, tuned))


def rows(*evaluations: trainer_pb2.Evaluation | None) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a table with a column for each evaluation, ``-`` for those that are missing."""
    yield ("samples", *("-" if e is None else str(e.n) for e in evaluations))
    for metric in PRINCIPAL_HEADLINES:
        yield (metric.label, *(_share(e, metric.name) for e in evaluations))
    further = [{} if e is None else further_novelty(e) for e in evaluations]
    for name in dict.fromkeys(name for shares in further for name in shares):
        if any(shares.get(name) for shares in further):
            yield (name.replace("_", " "), *(_told(shares.get(name)) for shares in further))
    relaxed = [e.relaxed if e is not None and e.HasField("relaxed") else None for e in evaluations]
    if any(e is not None for e in relaxed):
        for metric in RELAXED_HEADLINES:
            yield (f"{metric.label}, relaxed", *(_share(e, metric.name) for e in relaxed))


def _share(evaluation: trainer_pb2.Evaluation | trainer_pb2.RelaxedEvaluation | None, name: str) -> str:
    return _told(None if evaluation is None else estimate_of(evaluation, name))


def _told(share: Estimate | None) -> str:
    return f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}]" if share else "-"


def summary(run: Run) -> dict[str, Any]:
    """Return a run's outcome under the keys of ``summary.json``."""
    proto = run.proto
    return {
        "name": run.name,
        "state": run.state,
        "steps": run.steps_done,
        "base": evaluation_dict(proto.base) if proto.HasField("base") else None,
        "tuned": evaluation_dict(proto.tuned) if proto.HasField("tuned") else None,
        "oracle_calls": proto.oracle_calls,
        "wall_s": proto.wall_s,
        "calculator": proto.score_provenance.calculator_id,
        "reference": proto.score_provenance.reference_id,
        "bundle": proto.bundle_name,
    }


def fetch(
    client: Client, run: Run, runs: Path, names: tuple[str, ...] = ("report.html", "summary.json")
) -> Path | None:
    """Return the folder with a run's files: the trainer's own if it is on this machine, else a copy.

    None if the run has none of them.
    """
    local = Path(run.directory) if run.directory else None
    if local and all((local / name).is_file() for name in names if name in run.artifacts):
        return local if any((local / name).is_file() for name in names) else None
    folder = runs / run.name
    wanted = [name for name in names if name in run.artifacts]
    for name in wanted:
        artifact = client.trainer.get_artifact(run.name, name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(artifact.data)
    return folder if wanted else None


def ensure_succeeded(run: Run) -> None:
    """Raise what a run that did not succeed has to say."""
    if run.state != "SUCCEEDED":
        hint = (
            f"; go on with: xenolith train --resume {run.name}"
            if run.state in {"STOPPED", "INTERRUPTED"}
            else ""
        )
        raise XenolithError(f"run {run.name} {run.state.lower()}: {run.message or 'no reason given'}{hint}")
