"""Running totals of a trainer's runs since it started, for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from threading import Lock

from trainer_svc.services.policy_link import step_of
from xenolith.contract.states import RUN_ENDED, run_state_name
from xenolith.serving.metric_sample import SECONDS, Distribution, MetricSample
from xenolith.v1 import trainer_pb2

__all__ = ["RunTotals"]

_KEPT = 8
"""Runs whose last step is shown: those of long ago would be shown for ever."""


class RunTotals:
    """Steps of all runs, and the last step of each recent one. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()
        self._step_seconds = Distribution(SECONDS)
        self._last: dict[str, trainer_pb2.StepEvent] = {}

    def add(self, run: str, event: trainer_pb2.WatchRunResponse) -> None:
        """Count what happened in a run."""
        if event.HasField("state") and event.state.state in RUN_ENDED:
            with self._lock:
                self._ended[run_state_name(event.state.state)] += 1
        if not event.HasField("step"):
            return
        step = event.step
        with self._lock:
            self._counts["steps"] += 1
            self._counts["samples"] += step.samples
            for stage, seconds in step.timings.items():
                self._seconds[stage] += seconds  # type: ignore[assignment]  # a Counter holds floats as well
            self._last.pop(run, None)
            self._last[run] = step
            while len(self._last) > _KEPT:
                del self._last[next(iter(self._last))]
        self._step_seconds.add(step.timings["total"])

    def metric_samples(self) -> Iterator[MetricSample]:
        """Return the totals, and the last steps."""
        with self._lock:
            counts, seconds, last = dict(self._counts), dict(self._seconds), dict(self._last)
            ended = dict(self._ended)
        yield _counter("steps", "Training steps.", counts.get("steps", 0))
        yield _counter("samples", "Samples learnt from.", counts.get("samples", 0))
        for state in sorted(RUN_ENDED):
            # Those that are none yet too: Prometheus sees no growth in what begins with one.
            name = run_state_name(state)
            yield _counter("runs_ended", "Runs that ended, by how.", ended.get(name, 0), state=name)
        for stage, spent in sorted(seconds.items()):
            if stage != "total":
                yield _counter("stage_seconds", "Seconds of training steps, by stage.", spent, stage=stage)
        yield self._step_seconds.sample(
            "xenolith_trainer_step_seconds", "Duration of training steps, seconds."
        )
        for run, step in last.items():
            yield from _of_step(run, step)


def _of_step(run: str, step: trainer_pb2.StepEvent) -> Iterator[MetricSample]:
    yield _gauge("step", "Last step of the run.", step.step, run_id=run)
    yield _gauge("reward", "Mean reward of the run's last step.", step.reward_mean, run_id=run)
    for term in step.terms:
        yield _gauge(
            "reward_component",
            "Mean of a term of the reward in the run's last step, after its transform.",
            term.mean,
            run_id=run,
            term=term.name,
        )
    for name, value in sorted(step.metrics.items()):
        yield _gauge(
            "step_metric", "Shares and other numbers of the run's last step.", value, run_id=run, metric=name
        )
    yield _gauge("kl", "Distance to the base policy in the run's last step.", step.kl, run_id=run)
    sampled_by = step_of(step.rollout_policy_version)
    if sampled_by is not None:
        yield _gauge(
            "sample_staleness_steps",
            "Steps by which the policy that sampled was behind the one that learnt, in the run's last step.",
            step.step - 1 - sampled_by,
            run_id=run,
        )


def _counter(name: str, meaning: str, value: float, **labels: str) -> MetricSample:
    return MetricSample(name=f"xenolith_trainer_{name}", help=meaning, value=value, labels=labels)


def _gauge(name: str, meaning: str, value: float, **labels: str) -> MetricSample:
    return MetricSample(
        name=f"xenolith_trainer_{name}", help=meaning, value=value, labels=labels, kind="gauge"
    )
