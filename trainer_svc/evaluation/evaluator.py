"""Evaluation of a policy: fresh samples, scored together, shares with bootstrap intervals."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer_svc.config.run_config import Cleanup, EvaluationSettings, Finishing, RolloutSampler
from trainer_svc.evaluation.audits import Audited, audits_of, summary_of
from trainer_svc.evaluation.beyond import FurtherNovelty, further_flags, further_novelty, novel_beside
from trainer_svc.evaluation.chemistry import chemistry_metrics
from trainer_svc.evaluation.headline import estimates
from trainer_svc.rewards.measurements import STATUS_PREFIX, Measurements
from trainer_svc.rollouts.conditions import Conditions
from trainer_svc.rollouts.draws import evaluation_seeds
from trainer_svc.seeds import derive_seed
from trainer_svc.services.policy_link import PolicyLink
from trainer_svc.services.scoring import Relaxed, Scorer, spending
from xenolith.client import Samples
from xenolith.contract.evaluations import put_estimate
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.headlines import RELAXED_HEADLINES, grade_means
from xenolith.intervals import Estimate, bootstrap
from xenolith.v1 import generator_pb2, oracle_pb2, trainer_pb2

__all__ = ["Evaluated", "EvaluationPlan", "Evaluator", "headline_estimates", "to_proto"]

_BATCH = 64
"""Samples of one call: a wait short enough to show progress and to stop."""


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """Samples to draw for an evaluation; equal plans make two policies comparable."""

    n: int
    """Samples of each seed."""
    seeds: tuple[int, ...]
    """Rounds of n samples each."""
    steps: int
    eta: float
    resamples: int
    guidance_scale: float = 1.0
    """For conditional samples alone."""
    cleanup: Cleanup | None = None
    finishing: Finishing | None = None
    relax: dict[str, Any] | None = None
    """The contract's RelaxOptions in JSON form; None: no relaxed metrics."""
    audit_calculator_ids: tuple[str, ...] = ()
    """Second calculators that judge the samples."""
    further: bool = True
    """Compare with the oracle's further references, and with the run's own targets."""

    @classmethod
    def of(
        cls, settings: EvaluationSettings, rollout: RolloutSampler, run_seed: int, n: int
    ) -> "EvaluationPlan":
        """Resolve the settings of a run."""
        sampler = settings.sampler
        return cls(
            n=n,
            seeds=settings.seeds or (derive_seed(run_seed, "evaluation"),),
            steps=rollout.steps if sampler.steps is None else sampler.steps,
            eta=rollout.eta if sampler.eta is None else sampler.eta,
            resamples=settings.bootstrap,
            guidance_scale=(
                rollout.guidance_scale if sampler.guidance_scale is None else sampler.guidance_scale
            ),
            cleanup=settings.cleanup,
            finishing=settings.finishing,
            relax=settings.relax,
            audit_calculator_ids=settings.audit_calculator_ids,
        )

    @classmethod
    def for_choice(
        cls, settings: EvaluationSettings, rollout: RolloutSampler, run_seed: int
    ) -> "EvaluationPlan":
        """Resolve the settings of an evaluation during a run, by which its policy is chosen.

        Its seeds are its own, so that the final figures are of samples that nothing was chosen by; it neither
        relaxes nor audits, and knows no further references.
        """
        plain = settings.model_copy(update={"seeds": (), "relax": None, "audit_calculator_ids": ()})
        return replace(
            cls.of(plain, rollout, derive_seed(run_seed, "choice"), settings.n_during), further=False
        )


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """An evaluated policy."""

    policy_version: str
    crystals: CrystalBatch
    measured: Measurements
    estimates: dict[str, Estimate]
    provenance: oracle_pb2.ScoreProvenance
    oracle_calls: int
    calculator_evaluations: int = 0
    audits: tuple[Audited, ...]
    wall_s: float
    relaxed: "EvaluatedRelaxed | None" = None
    further: tuple[FurtherNovelty, ...] = ()
    """Comparisons with the oracle's further references."""


@dataclass(frozen=True, kw_only=True)
class EvaluatedRelaxed:
    """The same samples after relaxation, everything measured anew on the relaxed crystals."""

    measured: Measurements
    estimates: dict[str, Estimate]
    relaxed: Relaxed
    audits: tuple[Audited, ...]


class Evaluator:
    """Samples a policy and scores the samples."""

    def __init__(self, conditions: Conditions, link: PolicyLink, scorer: Scorer) -> None:
        """Bind the pieces.

        Parameters
        ----------
        conditions
            Conditions, taken by the samples in turn, and atom counts.
        link, scorer
            Generator and oracle.
        """
        self._conditions, self._link, self._scorer = conditions, link, scorer

    async def evaluate(
        self,
        plan: EvaluationPlan,
        on_progress: Callable[[str, int, int], None],
        targets: Sequence[Crystal] = (),
    ) -> Evaluated:
        """Evaluate the policy that the link has published.

        Parameters
        ----------
        plan
            What to sample.
        on_progress
            Told stage, samples done and samples in all; may raise to stop.
        targets
            Crystals that the policy was trained on as if they were data.
        """
        with spending() as spent:
            evaluated = await self._evaluated(plan, on_progress, targets)
        return replace(evaluated, calculator_evaluations=spent.evaluations)

    async def _evaluated(
        self,
        plan: EvaluationPlan,
        on_progress: Callable[[str, int, int], None],
        targets: Sequence[Crystal],
    ) -> Evaluated:
        began = time.monotonic()
        total = plan.n * len(plan.seeds)
        samples = await self._sample(plan, lambda done: on_progress("sample", done, total))
        on_progress("score", 0, total)
        # All at once: uniqueness is judged among all samples.
        scored = await self._scorer.score(samples.crystals, await self._scorer.headline())
        on_progress("score", total, total)
        shares = headline_estimates(scored.measured, plan)
        further: tuple[FurtherNovelty, ...] = ()
        if plan.further and "novel" in shares:
            further = await further_novelty(self._scorer, samples.crystals)
            beside = await novel_beside(self._scorer, samples.crystals, scored.measured, targets)
            shares |= {
                name: bootstrap(flags, resamples=plan.resamples, seed=_bootstrap_seed(plan))
                for name, flags in further_flags(scored.measured, further, beside)
            }
        relaxed = None
        if plan.relax is not None:
            relaxed = await self._relaxed(
                samples.crystals, plan, plan.relax, lambda done: on_progress("relax", done, total)
            )
        return Evaluated(
            audits=await self._audits(samples.crystals, scored.measured, plan),
            policy_version=samples.policy_version,
            crystals=samples.crystals,
            measured=scored.measured,
            estimates=shares,
            provenance=scored.provenance,
            oracle_calls=total if relaxed is None else 3 * total,
            wall_s=time.monotonic() - began,
            relaxed=relaxed,
            further=further,
        )

    async def _relaxed(
        self,
        crystals: CrystalBatch,
        plan: EvaluationPlan,
        options: dict[str, Any],
        on_progress: Callable[[int], None],
    ) -> EvaluatedRelaxed:
        relaxed = await self._scorer.relax(crystals, options, on_progress)
        # A relaxation may lead to a known crystal, or two to one: novelty and uniqueness are judged again.
        scored = await self._scorer.score(relaxed.crystals, await self._scorer.headline())
        return EvaluatedRelaxed(
            measured=scored.measured,
            estimates=headline_estimates(scored.measured, plan, among=relaxed.ok),
            relaxed=relaxed,
            audits=await self._audits(relaxed.crystals, scored.measured, plan, among=relaxed.ok),
        )

    async def _audits(
        self,
        crystals: CrystalBatch,
        measured: Measurements,
        plan: EvaluationPlan,
        among: NDArray[np.bool_] | None = None,
    ) -> tuple[Audited, ...]:
        return await audits_of(
            self._scorer,
            crystals,
            measured,
            plan.audit_calculator_ids,
            resamples=plan.resamples,
            seed=_bootstrap_seed(plan),
            among=among,
        )

    async def _sample(self, plan: EvaluationPlan, on_progress: Callable[[int], None]) -> Samples:
        counts = np.concatenate([self._counts(plan.n, derive_seed(seed, "counts")) for seed in plan.seeds])
        seeds = [value for seed in plan.seeds for value in evaluation_seeds(seed, plan.n)]
        # A sample does not depend on its neighbours, and neighbours of one size need no padding.
        order = np.argsort(counts, kind="stable")
        requests = []
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            request = _request(plan, [int(counts[i]) for i in chosen], [seeds[i] for i in chosen])
            if self._conditions:
                request.conditions.extend(
                    filter(None, (self._conditions.at(int(i) % plan.n) for i in chosen))
                )
                request.sampler.guidance_scale = plan.guidance_scale
            requests.append(request)
        done = 0

        def on_part(part: Samples) -> None:
            nonlocal done
            done += len(part.crystals)
            on_progress(done)

        return await self._link.sample_each(requests, on_part)

    def _counts(self, n: int, seed: int) -> NDArray[np.int64]:
        """Draw (n,) atom counts, each of those that hold its sample's condition."""
        if not self._conditions:
            return self._conditions.prior_at(0).draw(n, seed)
        draws = [self._conditions.prior_at(index).draw(1, derive_seed(seed, index))[0] for index in range(n)]
        return np.array(draws, dtype=np.int64)


def _request(plan: EvaluationPlan, counts: list[int], seeds: list[int]) -> generator_pb2.SampleRequest:
    """Ask for samples of given sizes and seeds."""
    return generator_pb2.SampleRequest(
        num_atoms=counts,
        num_samples=len(counts),
        sample_seeds=seeds,
        sampler=generator_pb2.SamplerSettings(steps=plan.steps, eta=plan.eta, guidance_scale=1.0),
        cleanup=None if plan.cleanup is None else generator_pb2.Cleanup(**plan.cleanup.model_dump()),
        finishing=None if plan.finishing is None else generator_pb2.Finishing(**plan.finishing.model_dump()),
    )


def headline_estimates(
    measured: Measurements, plan: EvaluationPlan, among: NDArray[np.bool_] | None = None
) -> dict[str, Estimate]:
    """Shares with intervals; the resampling is fixed by the plan, so equal data give equal intervals."""
    return estimates(measured, resamples=plan.resamples, seed=_bootstrap_seed(plan), among=among)


def _bootstrap_seed(plan: EvaluationPlan) -> int:
    return derive_seed(plan.seeds[0], "bootstrap")


def to_proto(evaluated: Evaluated) -> trainer_pb2.Evaluation:
    """Give the result as a message."""
    message = trainer_pb2.Evaluation(
        policy_version=evaluated.policy_version,
        n=len(evaluated.crystals),
        oracle=evaluated.provenance,
        oracle_calls=evaluated.oracle_calls,
        calculator_evaluations=evaluated.calculator_evaluations,
        wall_s=evaluated.wall_s,
    )
    for name, estimate in evaluated.estimates.items():
        put_estimate(message, name, estimate)
    if evaluated.relaxed is not None:
        _add_relaxed(message, evaluated.relaxed)
    energies = evaluated.measured.column("e_above_hull")
    if np.isfinite(energies).any():
        message.metrics["e_above_hull_median"] = float(np.nanmedian(energies))
        message.metrics["e_above_hull_mean"] = float(np.nanmean(energies))
    elements = chemistry_metrics(evaluated.crystals, evaluated.measured.column("valid") == 1.0)
    for name, value in (elements | grade_means(evaluated.measured)).items():
        message.metrics[name] = value
    message.audits.extend(summary_of(audit) for audit in evaluated.audits)
    for status in evaluated.measured.status:
        message.statuses[STATUS_PREFIX + status] += 1
    return message


def _add_relaxed(message: trainer_pb2.Evaluation, evaluated: EvaluatedRelaxed) -> None:
    for metric in RELAXED_HEADLINES:
        if metric.name in evaluated.estimates:
            put_estimate(message.relaxed, metric.name, evaluated.estimates[metric.name])
    message.relaxed.audits.extend(summary_of(audit) for audit in evaluated.audits)
    energies = evaluated.measured.column("e_above_hull")[evaluated.relaxed.ok]
    if np.isfinite(energies).any():
        message.metrics["relaxed_e_above_hull_median"] = float(np.nanmedian(energies))
    for name in ("unique", "novel"):
        if name in evaluated.estimates:
            message.metrics[f"relaxed_{name}"] = evaluated.estimates[name].value
    for name, value in grade_means(evaluated.measured, evaluated.relaxed.ok).items():
        message.metrics[f"relaxed_{name}"] = value
    message.metrics["relaxed_share"] = float(evaluated.relaxed.ok.mean())
    message.metrics["relaxed_converged"] = float(evaluated.relaxed.converged.mean())
