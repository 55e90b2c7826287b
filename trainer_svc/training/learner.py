"""The computing half of a step: rewards, advantages, update and their report. Nothing is called here."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generator_svc.conditioning import wanted_conditions
from generator_svc.diffusion.sampler import SamplerSettings
from generator_svc.networks.conditions import ConditionsConfig
from generator_svc.networks.denoiser import Denoiser
from generator_svc.networks.lora import add_adapter
from trainer_svc.algorithms.advantages import Advantages
from trainer_svc.algorithms.average import averaged_copy, follow
from trainer_svc.algorithms.base import Batch, Context, Networks, Path, UpdateStatistics, Valued
from trainer_svc.algorithms.optimizer import make_optimizer
from trainer_svc.algorithms.registry import algorithm_named
from trainer_svc.algorithms.variance import GradientVariance, gradient_variance
from trainer_svc.config.run_config import RunConfig
from trainer_svc.evaluation.chemistry import distinct_systems
from trainer_svc.evaluation.headline import shares
from trainer_svc.rewards import Rewards, TermValues, compute_rewards
from trainer_svc.rewards.measurements import STATUS_PREFIX, FloatColumn, Measurements
from trainer_svc.rollouts.experience import Experience
from trainer_svc.rollouts.judging import Judged
from trainer_svc.rollouts.pipeline import Collected
from trainer_svc.rollouts.relaxing import RelaxedTargets
from trainer_svc.runs.checkpoints import LearnerWeights
from trainer_svc.seeds import derive_seed
from trainer_svc.training.members import Members, members_of
from xenolith.headlines import headline
from xenolith.v1 import trainer_pb2

__all__ = ["Learner", "Learnt", "step_event"]


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """Result of one training step."""

    rewards: Rewards
    advantages: Advantages
    update: UpdateStatistics
    variance: GradientVariance | None
    """Of the policy gradient, by the policy that sampled; None where it is not estimated."""
    kept: NDArray[np.bool_]
    """(B,) which samples are learnt from as if they were data, now or again."""
    relaxed: NDArray[np.bool_]
    """(R,) which relaxed targets are learnt from."""


class Learner:
    """Policy, frozen base, moving average and optimiser of one run."""

    def __init__(self, config: RunConfig, policy: Denoiser) -> None:
        """Bind the network.

        Parameters
        ----------
        config
            Of the run.
        policy
            With the weights that the run starts from, to which it is held; trained in place. With
            ``adapter_rank`` it gets an adapter here, and nothing else is trained.
        """
        self._config, self._kind = config, algorithm_named(config.algorithm)
        self.experience = Experience(config)
        self.network = policy
        self.adapter = config.adapter
        if self.adapter is not None:
            add_adapter(policy, self.adapter, derive_seed(config.seed, "adapter"))
            base = policy
        else:
            base = copy.deepcopy(policy).eval().requires_grad_(False)
            policy.requires_grad_(True)
        averaged = self._kind.needs_average or config.hold.anchor_weight > 0.0
        self.average = averaged_copy(policy) if averaged else None
        self.optimizer = make_optimizer(policy, config.optimizer)
        self._settings = self._kind.Settings.model_validate(config.algorithm_settings)
        self._algorithm = self._kind(
            Context(
                networks=Networks(trained=policy, base=base, average=self.average),
                optimizer=self.optimizer,
                sampler=SamplerSettings(
                    steps=config.sampler.steps,
                    eta=config.sampler.eta,
                    guidance_scale=config.sampler.guidance_scale,
                ),
                learning=config.optimizer,
                hold=config.hold,
                settings=self._settings,
            )
        )

    @property
    def policy(self) -> Denoiser:
        """The network that samples: the trained one, or its moving average where the algorithm says so."""
        return self.average if self._kind.samples_average and self.average is not None else self.network

    @property
    def weights(self) -> LearnerWeights:
        """Weights that a checkpoint keeps."""
        return LearnerWeights(
            trained=self.network,
            optimizer=self.optimizer,
            average=self.average,
            samples_average=self._kind.samples_average,
        )

    def learn(
        self,
        collected: Collected,
        step: int,
        kl_weight: float,
        on_progress: Callable[[], None] = lambda: None,
    ) -> Learnt:
        """Value the step's structures and update the policy.

        Parameters
        ----------
        collected
            Sampled and measured.
        step
            Its number, 1-based.
        kl_weight
            Weight of the divergence to the base policy.
        on_progress
            Called after every forward pass; may raise to abandon the update.

        Raises
        ------
        RatioError
            The generator did not sample with these weights.
        """
        config, members = self._config, members_of(collected)
        recalled = self.experience.recall(members.crystals, members.measured)
        rewards = compute_rewards(recalled, members.groups, config.reward, members.crystals)
        believed = np.array([not reason for reason in rewards.reasons], dtype=bool)
        valued = Valued(
            rewards=rewards.total,
            groups=members.groups,
            wanted=headline("msun").flags(members.measured) & believed,
        )
        advantages = self._kind.advantages(valued, config.optimizer, config.hold)
        batch = _batch(collected, members, advantages, self.network.config.conditions)
        drawn = slice(members.drawn)
        variance = self._variance(batch, rewards.total[drawn], members.groups[drawn], step)
        if replayed := self.experience.replayed(step):
            batch = _with_replay(batch, replayed, config.replay.advantage)
        update = self._algorithm.update(
            batch,
            run_seed=config.seed,
            step=step,
            kl_weight=kl_weight,
            on_progress=on_progress,
        )
        if self.average is not None:
            follow(self.average, self.network, config.hold.decay_at(step))
        kept = self.experience.add(
            collected.samples.crystals,
            collected.scored.measured,
            rewards.plain[drawn],
            valued.wanted[drawn],
            torch.from_numpy(collected.samples.latents),
        )
        wanted = advantages.values > 0.0
        return Learnt(
            rewards=rewards.first(members.drawn),
            advantages=advantages,
            update=update,
            variance=variance,
            kept=kept | wanted[drawn] if self._kind.learns_as_data else kept,
            relaxed=wanted[members.drawn :],
        )

    def _variance(
        self, batch: Batch, rewards: FloatColumn, groups: NDArray[np.int64], step: int
    ) -> GradientVariance | None:
        seed = derive_seed(self._config.seed, "variance", step)
        return gradient_variance(
            lambda index: self._algorithm.score_gradient(batch, index, seed=derive_seed(seed, index)),
            rewards,
            groups,
            samples=self._settings.variance_samples,
            seed=seed,
        )


def _with_replay(batch: Batch, replayed: list[Tensor], advantage: float) -> Batch:
    """Append latents of earlier steps."""
    counts = torch.tensor([len(latents) for latents in replayed], dtype=torch.int64)
    return Batch(
        latents=torch.cat([batch.latents, *replayed]),
        num_atoms=torch.cat([batch.num_atoms, counts]),
        advantages=torch.cat([batch.advantages, torch.full((len(replayed),), advantage)]),
    )


def _batch(
    collected: Collected, members: Members, advantages: Advantages, learnt: ConditionsConfig | None
) -> Batch:
    samples, conditions = collected.samples, None
    if collected.conditions and learnt is not None:
        each = [collected.conditions[group] for group in members.groups]
        conditions = wanted_conditions(each, members.crystals.num_atoms.tolist(), learnt)
    path = None
    if samples.trajectory is not None:
        path = Path(
            latents=torch.from_numpy(samples.trajectory.latents),
            old_log_probs=torch.from_numpy(samples.trajectory.old_log_probs),
        )
    return Batch(
        latents=members.latents,
        num_atoms=torch.from_numpy(members.crystals.num_atoms.astype(np.int64)),
        advantages=torch.from_numpy(advantages.values.astype(np.float32)),
        conditions=conditions,
        path=path,
    )


def step_event(step: int, collected: Collected, learnt: Learnt) -> trainer_pb2.StepEvent:
    """Report a step; versions and timings are filled in by the caller."""
    update, rewards, measured = learnt.update, learnt.rewards, collected.scored.measured
    event = trainer_pb2.StepEvent(
        step=step,
        rollout_policy_version=collected.samples.policy_version,
        samples=len(measured),
        groups_dropped=len(learnt.advantages.dropped),
        reward_mean=float(rewards.plain.mean()),
        reward_std=float(rewards.plain.std()),
        ratio_deviation=update.ratio_deviation,
        kl=update.kl,
        clip_fraction=update.clip_fraction,
        grad_norm=update.grad_norm,
        loss=update.loss,
        learning_rate=update.learning_rate,
        metrics=shares(measured),
        oracle_calls=len(measured),
        cache_hits=collected.scored.cache_hits,
        warnings=collected.scored.warnings,
    )
    valid = measured.column("valid") == 1.0
    event.metrics["chemical_systems"] = distinct_systems(collected.samples.crystals, valid)
    if collected.relaxed is not None:
        _tell_relaxed(event, collected.relaxed)
    if collected.judged is not None:
        _tell_judged(event, collected, collected.judged)
    if learnt.variance is not None:
        event.metrics["gradient_variance_with_groups"] = learnt.variance.grouped
        event.metrics["gradient_variance_without_groups"] = learnt.variance.ungrouped
    energies = measured.column("e_above_hull")
    if np.isfinite(energies).any():
        event.metrics["e_above_hull_median"] = float(np.nanmedian(energies))
    for status in measured.status:
        event.statuses[STATUS_PREFIX + status] += 1
    suspicious = sum(reason == "SUSPICIOUS_ENERGY" for reason in rewards.reasons)
    if suspicious:
        event.warnings.append(
            f"{suspicious} energies lay suspiciously far below the hull and earned the floor"
        )
    for term in rewards.terms:
        event.terms.append(_term_summary(term))
        if not np.isfinite(term.raw).any():
            event.warnings.append(
                f"reward term {term.name!r}: its metric was measured for no structure; is its name right?"
            )
    return event


def _tell_relaxed(event: trainer_pb2.StepEvent, relaxed: RelaxedTargets) -> None:
    event.oracle_calls += relaxed.oracle_calls
    event.cache_hits += relaxed.scored.cache_hits
    event.metrics["relaxed_targets"] = len(relaxed.crystals)
    event.timings["relax"] = relaxed.seconds
    event.metrics["relaxed_targets_msun"] = float(headline("msun").flags(relaxed.scored.measured).mean())


def _tell_judged(event: trainer_pb2.StepEvent, collected: Collected, judged: Judged) -> None:
    event.oracle_calls += len(judged.rows)
    parts = [collected.scored.measured]
    if collected.relaxed is not None:
        parts.append(collected.relaxed.scored.measured)
    for name, value in judged.metrics(Measurements.concat(parts)).items():
        event.metrics[name] = value


def _term_summary(term: TermValues) -> trainer_pb2.RewardTermSummary:
    raw, transformed = (values[np.isfinite(values)] for values in (term.raw, term.transformed))
    return trainer_pb2.RewardTermSummary(
        name=term.name,
        raw_mean=float(raw.mean()) if raw.size else float("nan"),
        mean=float(transformed.mean()) if transformed.size else float("nan"),
        std=float(transformed.std()) if transformed.size else float("nan"),
        measured=len(raw),
        failed=len(term.raw) - len(raw),
    )
