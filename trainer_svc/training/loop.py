"""One run from start to end: base evaluation, steps, tuned evaluation, summary, report.

The loop is the only place that knows all the parts of a run, and none of them knows the loop:

- `training.setup` puts the parts together, anew or from the last checkpoint;
- `rollouts` draws, samples and scores the structures of a step, through `services`;
- `training.learner` values them (`rewards`), compares them (`algorithms`) and updates the policy;
- `services.policy_link` pushes the new weights to the generator;
- `runs` keeps events, TensorBoard's numbers, candidates and checkpoints;
- `evaluation` measures a policy on fresh samples;
- `training.stopping` says whether to go on;
- `report` writes the page at the end.
"""

import asyncio
import time

import numpy as np
import structlog
from google.protobuf import json_format

from generator_svc.networks.lora import adapter_state, merged_state
from trainer_svc.algorithms.learning import OptimizerSettings
from trainer_svc.errors import ConfigError
from trainer_svc.evaluation.evaluator import Evaluated, EvaluationPlan, to_proto
from trainer_svc.report import write_report
from trainer_svc.rollouts.pipeline import Collected
from trainer_svc.runs.checkpoints import TrainingState
from trainer_svc.runs.room import check_room
from trainer_svc.runs.summary import run_summary
from trainer_svc.runs.tables import structure_table, write_table
from trainer_svc.runs.targets import read_targets
from trainer_svc.services.policy_link import version_of
from trainer_svc.training.ahead import Ahead, Snapshot
from trainer_svc.training.learner import step_event
from trainer_svc.training.setup import Parts, Preparation
from trainer_svc.training.stopping import collapse, over_budget, plateau
from xenolith.files import write_json
from xenolith.tracing import traced
from xenolith.v1 import trainer_pb2

__all__ = ["StopRequested", "Training"]

log = structlog.get_logger(__name__)


class StopRequested(Exception):  # noqa: N818  # no error: somebody asked for it
    """The run was asked to stop."""


class Training:
    """Works on one run until it ends, fails or is stopped.

    Parameters
    ----------
    preparation
        Puts the run together.
    reserve_bytes
        What is to stay free on the disk beside the next checkpoint.
    """

    def __init__(self, preparation: Preparation, reserve_bytes: int = 0) -> None:
        self._preparation, self._reserve = preparation, reserve_bytes
        self._directory, self._config = preparation.directory, preparation.config
        self._log, self._worker = preparation.log, preparation.worker
        self._checkpoints = preparation.checkpoints
        self._reported = {event.step.step for event in self._log.events.after(0) if event.HasField("step")}
        self._stop = False
        self._turn = asyncio.Lock()

    def stop(self) -> None:
        """Ask the run to stop after the step at work."""
        self._stop = True

    async def run(self) -> None:
        """Work to the end; call again after a restart to go on from the last checkpoint.

        Raises
        ------
        StopRequested
            `stop` was called.
        XenolithError
            Waiting does not cure what happened; the message says what does.
        """
        self._log.begin()
        parts = await self._preparation.prepare()
        try:
            await self._evaluate_once("base", parts, step=0)
            await self._train(parts)
            await self._evaluate_once("tuned", parts, step=parts.state.chosen_step)
            self._log.set_state(trainer_pb2.RUN_STATE_REPORTING)
            await self._worker.run(self._report)
        finally:
            parts.board.close()
        self._log.set_state(trainer_pb2.RUN_STATE_SUCCEEDED, parts.state.stop_reason)

    async def _train(self, parts: Parts) -> None:
        state = parts.state
        if state.step < self._config.steps and not state.stop_reason:
            self._log.set_state(trainer_pb2.RUN_STATE_RUNNING)
            if self._config.max_staleness:
                await self._take_steps_ahead(parts)
            else:
                await self._take_steps(parts)
        await self._choose(parts, due=True)

    async def _take_steps(self, parts: Parts) -> None:
        state = parts.state
        while state.step < self._config.steps:
            await self._before_step(parts)
            if parts.link.version != state.policy_version:
                await self._publish(parts)
            with traced("training step", self._attributes(state.step + 1)):
                event = await self._step(parts)
            if await self._ends(parts, event):
                return

    async def _take_steps_ahead(self, parts: Parts) -> None:
        """Sample and score while the learner is at work; see `Ahead`."""
        state, lag = parts.state, self._config.max_staleness
        done, steps = state.step, self._config.steps
        async with Ahead(parts.pipeline, parts.link, self._turn, lag=lag, done=done, steps=steps) as ahead:
            for step in range(max(0, done - lag), done + 1):
                ahead.release(await self._worker.run(self._snapshot_of, parts, step))
            while state.step < steps:
                await self._before_step(parts)
                with traced("training step", self._attributes(state.step + 1)):
                    event = await self._step(parts, ahead)
                if await self._ends(parts, event):
                    return
                ahead.release(await self._worker.run(self._snapshot_of, parts, state.step))

    def _snapshot_of(self, parts: Parts, step: int) -> Snapshot:
        """Read what later steps are drawn by from the checkpoint of a step."""
        _, weights = self._checkpoints.weights(step)
        counted = self._checkpoints.state(step).experience.successes
        return Snapshot(
            step=step,
            version=version_of(self._config.name, step, weights),
            weights=weights,
            emphasis=parts.learner.experience.emphasis_of(counted),
        )

    async def _before_step(self, parts: Parts) -> None:
        """Evaluate the policy if that is due; leave if the run was asked to stop."""
        if self._stop:
            raise StopRequested
        check_room(self._directory.path, self._checkpoints.next_size(), self._reserve)
        step, every = parts.state.step, self._config.evaluation.every
        await self._choose(parts, due=bool(every) and step % every == 0)

    async def _ends(self, parts: Parts, event: trainer_pb2.StepEvent) -> bool:
        """Tell of a step, answer a collapse, and say whether it was the last one."""
        state, stopping = parts.state, self._config.early_stopping
        self._log.update(steps_done=state.step, policy_version=state.policy_version, last_step=event)
        self._count(state)
        collapsed = collapse(stopping, dict(event.metrics).get("unique"), state.systems)
        if collapsed and state.back_offs < stopping.back_offs:
            await self._back_off(parts, collapsed)
            return False
        reason = (
            over_budget(
                stopping,
                training_s=state.training_s,
                oracle_calls=state.oracle_calls + state.selection_calls,
                calculator_evaluations=state.calculator_evaluations,
            )
            or collapsed
            or plateau(stopping, state.reward_means)
        )
        if reason:
            state.stop_reason = f"stopped early after step {state.step}: {reason}"
            await self._worker.run(self._checkpoint, parts)
            self._log.warn(state.stop_reason)
        return bool(reason)

    async def _choose(self, parts: Parts, *, due: bool) -> None:
        """Evaluate the policy on seeds of their own if that is due, and keep the best one so far."""
        state, settings = parts.state, self._config.evaluation
        if not settings.every or not due or state.step in dict(state.evaluations):
            return
        plan = EvaluationPlan.for_choice(settings, self._config.sampler, self._config.seed)
        evaluated = await self._evaluate(parts, state.step, plan, choosing=True)
        if "msun" not in evaluated.estimates:
            raise ConfigError(
                "evaluation.every chooses policies by their mSUN, which this oracle cannot measure; start it"
                " with a --reference that has structures and a hull, or leave evaluation.every out"
            )
        state.evaluations.append((state.step, evaluated.estimates["msun"].value))
        if settings.min_unique is not None and evaluated.estimates["unique"].value < settings.min_unique:
            state.repetitive.append(state.step)
        state.selection_calls += evaluated.oracle_calls
        state.calculator_evaluations += evaluated.calculator_evaluations
        await self._worker.run(self._checkpoint, parts)
        self._log.update(chosen_step=state.chosen_step)
        self._count(state)

    async def _back_off(self, parts: Parts, why: str) -> None:
        """Go back to the best policy that is kept, and hold it more strongly."""
        state = parts.state
        kept = self._checkpoints.steps()
        step = state.chosen_step if state.evaluations else next((known for known in kept if known), 0)
        await self._worker.run(self._checkpoints.restore, parts.learner.weights, step)
        state.back_offs += 1
        state.systems = []
        state.kl_weight = 2.0 * (state.kl_weight or OptimizerSettings().kl_weight)
        state.policy_version = version_of(self._config.name, state.step, merged_state(parts.learner.policy))
        await self._worker.run(self._checkpoint, parts)
        self._log.warn(
            f"after step {state.step}: {why}; back to the policy of step {step}, held twice as strongly"
            f" ({state.back_offs} of {self._config.early_stopping.back_offs})"
        )

    async def _step(self, parts: Parts, ahead: Ahead | None = None) -> trainer_pb2.StepEvent:
        state, began, step = parts.state, time.monotonic(), parts.state.step + 1
        if ahead is None:
            collected = await parts.pipeline.collect(step, parts.learner.experience.emphasis)
        else:
            collected = await ahead.collected(step)
        state.calculator_evaluations += collected.evaluations
        collected_at = time.monotonic()
        event = await self._worker.run(self._learn, parts, collected, step)
        learnt_at = time.monotonic()
        if ahead is None:
            await self._publish(parts)
        pushed_at = time.monotonic()
        event.policy_version = state.policy_version
        event.calculator_evaluations = collected.evaluations
        event.replayed = step in self._reported
        state.training_s += pushed_at - began
        timings = {
            "sample": collected.sample_s,
            "score": collected.score_s,
            "update": learnt_at - collected_at,
            "push": pushed_at - learnt_at,
            "total": pushed_at - began,
        }
        if ahead is not None:
            timings["wait"] = collected_at - began
        for name, seconds in timings.items():
            event.timings[name] = seconds
        if not self._log.run.score_provenance.settings_digest and parts.scorer.scale is not None:
            self._log.update(score_provenance=parts.scorer.scale)
        parts.board.step(event)
        # Told before the checkpoint: a step may be told twice, then marked as replayed, but never not at all.
        self._log.events.append(trainer_pb2.WatchRunResponse(step=event))
        if step % self._config.checkpoint_every == 0 or step == self._config.steps:
            await self._worker.run(self._checkpoint, parts)
        return event

    async def _publish(self, parts: Parts) -> None:
        """Make the generator sample with the learner's weights."""
        learner, version = parts.learner, parts.state.policy_version
        if learner.adapter is None:
            await parts.link.publish(version, learner.policy.state_dict())
            return
        if parts.state.step == 0:
            await parts.link.publish(*parts.base)  # the adapter still changes nothing
        else:
            tensors = adapter_state(learner.policy)
            await parts.link.publish_adapter(version, tensors, learner.adapter, parts.base)

    def _learn(self, parts: Parts, collected: Collected, step: int) -> trainer_pb2.StepEvent:
        state = parts.state
        weight = self._config.optimizer.kl_weight if state.kl_weight is None else state.kl_weight
        learnt = parts.learner.learn(collected, step, weight)
        event = step_event(step, collected, learnt)
        event.kl_weight = weight
        crystals, measured = collected.samples.crystals, collected.scored.measured
        parts.candidates.add(step, crystals, measured)
        kept = np.flatnonzero(learnt.kept)
        parts.targets.add(step, "sampled", crystals.take(kept), measured.take(kept))
        if (relaxed := collected.relaxed) is not None:
            rows = np.flatnonzero(learnt.relaxed)
            judged = relaxed.scored.measured.take(rows)
            parts.targets.add(step, "relaxed", relaxed.crystals.take(rows), judged)
        state.step = step
        state.kl_weight = self._config.hold.next_kl_weight(weight, event.kl)
        state.policy_version = version_of(self._config.name, step, merged_state(parts.learner.policy))
        state.reward_means.append(event.reward_mean)
        state.oracle_calls += event.oracle_calls
        state.systems.append(event.metrics["chemical_systems"] / event.samples)
        # A map of a message answers 0 for a name that it lacks.
        found = {"msun": round(event.metrics["msun"], 3)} if "msun" in event.metrics else {}
        log.info("step", step=step, reward=round(event.reward_mean, 4), **found)
        return event

    def _checkpoint(self, parts: Parts) -> None:
        parts.state.candidates_bytes = parts.candidates.publish()
        parts.targets.publish()
        experience = parts.learner.experience
        parts.state.experience = experience.state()
        self._checkpoints.save(parts.learner.weights, parts.state, experience.tensors())

    def _count(self, state: TrainingState) -> None:
        """Tell what the run has cost so far."""
        run = self._log.run
        final = run.base, run.tuned
        training = state.oracle_calls + state.selection_calls
        self._log.update(
            oracle_calls=training + sum(evaluation.oracle_calls for evaluation in final),
            training_oracle_calls=training,
            calculator_evaluations=state.calculator_evaluations
            + sum(evaluation.calculator_evaluations for evaluation in final),
        )

    async def _evaluate_once(self, which: str, parts: Parts, step: int) -> None:
        """Evaluate base or tuned policy, unless a part of the run before an interruption did."""
        if self._config.evaluation.n == 0 or self._log.run.HasField(which):
            return
        state = (
            trainer_pb2.RUN_STATE_EVALUATING_BASE
            if which == "base"
            else trainer_pb2.RUN_STATE_EVALUATING_TUNED
        )
        self._log.set_state(state)
        settings = self._config.evaluation
        plan = EvaluationPlan.of(settings, self._config.sampler, self._config.seed, settings.n)
        evaluated = await self._evaluate(parts, step, plan)
        await self._worker.run(self._keep, which, evaluated)
        message = to_proto(evaluated)
        self._log.update(**{which: message, "score_provenance": evaluated.provenance})
        self._count(parts.state)

    async def _evaluate(
        self, parts: Parts, step: int, plan: EvaluationPlan, *, choosing: bool = False
    ) -> Evaluated:
        latest = step == parts.state.step and step > 0
        weights = merged_state(parts.learner.policy) if latest else self._checkpoints.weights(step)[1]
        targets = read_targets(self._directory.path, step) if plan.further else []
        with traced("evaluation", self._attributes(step)):
            # Nothing else is sampled meanwhile: the generator has one policy at a time.
            async with self._turn:
                await parts.link.publish(version_of(self._config.name, step, weights), weights)
                evaluated = await parts.evaluator.evaluate(plan, self._on_progress, targets)
        event = trainer_pb2.EvaluationEvent(step=step, evaluation=to_proto(evaluated), choosing=choosing)
        self._log.events.append(trainer_pb2.WatchRunResponse(evaluation=event))
        parts.board.evaluation(step, event.evaluation)
        return evaluated

    def _attributes(self, step: int) -> dict[str, str | bool | int | float]:
        return {"xenolith.run_id": self._config.name, "xenolith.step": step}

    def _on_progress(self, stage: str, done: int, total: int) -> None:
        if self._stop:
            raise StopRequested
        self._log.progress(stage, done, total)

    def _keep(self, which: str, evaluated: Evaluated) -> None:
        path = self._directory.evaluation(which)
        beside = {name: values for other in evaluated.further for name, values in other.columns.items()}
        table = structure_table(evaluated.crystals, evaluated.measured, beside)
        write_table(path.with_suffix(".parquet"), table)
        document = json_format.MessageToDict(to_proto(evaluated), preserving_proto_field_name=True)
        write_json(path.with_suffix(".json"), document)

    def _report(self) -> None:
        write_json(self._directory.summary, run_summary(self._log.run))
        write_report(self._directory)
