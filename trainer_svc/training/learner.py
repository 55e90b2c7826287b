"""The computing half of a step: rewards, advantages, update and their report. Nothing is called here."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from generator_svc.conditioning import wanted_conditions
from generator_svc.diffusion.sampler import SamplerSettings
from generator_svc.networks.conditions import ConditionsConfig
from generator_svc.networks.denoiser import Denoiser
from generator_svc.networks.lora import add_adapter
from trainer_svc.config.run_config import RunConfig
from trainer_svc.evaluation.headline import shares
from trainer_svc.grpo import Rollouts, Updater, UpdateStatistics, make_optimizer
from trainer_svc.grpo.advantages import Advantages, compute_advantages
from trainer_svc.grpo.policy import DiffusionPolicy, WithoutAdapter
from trainer_svc.rewards import Rewards, TermValues, compute_rewards
from trainer_svc.rewards.measurements import STATUS_PREFIX
from trainer_svc.rollouts.pipeline import Collected
from trainer_svc.seeds import derive_seed
from xenolith.v1 import trainer_pb2

__all__ = ["Learner", "Learnt", "step_event"]


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """What a step taught."""

    rewards: Rewards
    advantages: Advantages
    update: UpdateStatistics


class Learner:
    """Policy, frozen base and optimiser of one run."""

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
        sampler = SamplerSettings(
            steps=config.sampler.steps,
            eta=config.sampler.eta,
            guidance_scale=config.sampler.guidance_scale,
        )
        self._config = config
        self.network = policy
        self.adapter = config.adapter
        if self.adapter is not None:
            add_adapter(policy, self.adapter, derive_seed(config.seed, "adapter"))
            reference: DiffusionPolicy = WithoutAdapter(policy, sampler)
        else:
            reference = DiffusionPolicy(copy.deepcopy(policy).eval().requires_grad_(False), sampler)
            policy.requires_grad_(True)
        self.optimizer = make_optimizer(policy, config.optimizer)
        self._updater = Updater(DiffusionPolicy(policy, sampler), reference, self.optimizer, config.optimizer)

    def learn(
        self, collected: Collected, step: int, on_progress: Callable[[], None] = lambda: None
    ) -> Learnt:
        """Value the step's structures and update the policy.

        Raises
        ------
        RatioError
            The generator did not sample with these weights.
        """
        config = self._config
        rewards = compute_rewards(collected.scored.measured, collected.groups, config.reward)
        advantages = compute_advantages(
            rewards.total,
            collected.groups,
            std="group" if config.optimizer.normalize_advantage else "none",
            clip=config.optimizer.advantage_clip,
        )
        rollouts = _rollouts(collected, advantages, self.network.config.conditions)
        update = self._updater.run(rollouts, run_seed=config.seed, step=step, on_progress=on_progress)
        return Learnt(rewards=rewards, advantages=advantages, update=update)


def _rollouts(collected: Collected, advantages: Advantages, learnt: ConditionsConfig | None) -> Rollouts:
    samples, conditions = collected.samples, None
    if collected.conditions and learnt is not None:
        each = [collected.conditions[group] for group in collected.groups]
        conditions = wanted_conditions(each, samples.crystals.num_atoms.tolist(), learnt)
    if samples.latents is None or samples.old_log_probs is None:
        raise ValueError("samples without trajectories cannot be learnt from")
    return Rollouts(
        latents=torch.from_numpy(samples.latents),
        num_atoms=torch.from_numpy(samples.crystals.num_atoms.astype(np.int64)),
        old_log_probs=torch.from_numpy(samples.old_log_probs),
        advantages=torch.from_numpy(advantages.values.astype(np.float32)),
        conditions=conditions,
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
