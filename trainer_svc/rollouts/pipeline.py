"""One step's rollouts: groups are sampled while the ones before are already scored."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trainer_svc.algorithms import algorithm_named
from trainer_svc.config.run_config import RunConfig
from trainer_svc.rewards.measurements import Measurements
from trainer_svc.rollouts.conditions import Conditions
from trainer_svc.rollouts.draws import group_counts, member_seeds
from trainer_svc.rollouts.judging import Judged, Judging
from trainer_svc.rollouts.relaxing import RelaxedTargets, Relaxing
from trainer_svc.seeds import derive_seed
from trainer_svc.services.policy_link import PolicyLink
from trainer_svc.services.scoring import Scored, Scorer, components_of, spending
from xenolith.client import Samples
from xenolith.crystal import CrystalBatch
from xenolith.v1 import generator_pb2

__all__ = ["Collected", "Drawn", "Emphasis", "RolloutPipeline"]

Emphasis = Callable[[list[int]], NDArray[np.float64] | None]
"""From atom counts to factors of their probabilities."""


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The sampled and measured structures of a step."""

    samples: Samples
    groups: NDArray[np.int64]
    """(B,) group of each structure."""
    conditions: tuple[generator_pb2.Condition, ...]
    """Of each group; empty for unconditional samples."""
    scored: Scored
    sample_s: float
    """Seconds until the last group was sampled."""
    score_s: float
    """Seconds from then until everything was scored."""
    evaluations: int = 0
    """Energies that the oracle's calculator computed for them."""
    relaxed: RelaxedTargets | None = None
    """Further members of the groups, where the algorithm asks for them."""
    judged: Judged | None = None
    """What a second judge says of the best of all members."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The sampled structures of a step, before they are measured."""

    step: int
    samples: Samples
    sample_s: float
    """Seconds until the last group was sampled."""
    evaluations: int
    """Energies that the oracle's calculator computed in the meantime."""


class RolloutPipeline:
    """Samples and scores the groups of a step."""

    def __init__(
        self,
        config: RunConfig,
        conditions: Conditions,
        link: PolicyLink,
        scorer: Scorer,
        *,
        warm: bool,
        relaxing: Relaxing | None = None,
        judging: Judging | None = None,
    ) -> None:
        """Bind the pieces.

        Parameters
        ----------
        config
            Of the run.
        conditions
            Conditions and atom counts of groups.
        link, scorer
            Generator and oracle.
        warm
            Score each group as soon as it is sampled, so that the step's own scoring finds it in the oracle's
            cache; pointless where the oracle has none.
        relaxing
            Makes relaxed targets; None: there are none.
        judging
            Has the best judged once more; None: the oracle's scores stand.
        """
        self._relaxing, self._judging = relaxing, judging
        self._config, self._conditions, self._warm = config, conditions, warm
        self._link, self._scorer = link, scorer
        self._components = components_of(config.reward)
        self._trajectories = algorithm_named(config.algorithm).needs_trajectory

    async def collect(self, step: int, emphasis: Emphasis = lambda _counts: None) -> Collected:
        """Sample and score one step.

        Parameters
        ----------
        step
            Its number, 1-based: with the policy, the emphasis and the run's seed it fixes the result.
        emphasis
            Gives the factors by which the probabilities of atom counts are multiplied.
        """
        return await self.measure(await self.sample(step, emphasis))

    async def sample(self, step: int, emphasis: Emphasis = lambda _counts: None) -> Drawn:
        """Sample one step with the policy that the generator has; arguments as of `collect`."""
        began = time.monotonic()
        with spending() as spent:
            samples = await self._sample_groups(step, emphasis)
        sample_s = time.monotonic() - began
        return Drawn(step=step, samples=samples, sample_s=sample_s, evaluations=spent.evaluations)

    async def measure(self, drawn: Drawn) -> Collected:
        """Score the samples of a step, and have them relaxed and judged where that is asked for."""
        with spending() as spent:
            collected = await self._measured(drawn)
        return replace(collected, evaluations=drawn.evaluations + spent.evaluations)

    async def _measured(self, drawn: Drawn) -> Collected:
        samples, began = drawn.samples, time.monotonic()
        scored = await self._scorer.score(samples.crystals, self._components)
        scored_at = time.monotonic()
        groups = np.repeat(np.arange(self._config.groups), self._config.group_size)
        relaxed = None
        if self._relaxing is not None:
            relaxed = await self._relaxing.targets(samples, groups, scored.measured)
        judged = None
        if self._judging is not None:
            crystals, measured = samples.crystals, scored.measured
            if relaxed is not None:
                crystals = CrystalBatch.concat([crystals, relaxed.crystals])
                measured = Measurements.concat([measured, relaxed.scored.measured])
            judged = await self._judging.opinions(crystals, measured)
        return Collected(
            samples=samples,
            groups=groups,
            conditions=tuple(filter(None, self._of_groups(drawn.step))),
            scored=scored,
            sample_s=drawn.sample_s,
            score_s=scored_at - began,
            relaxed=relaxed,
            judged=judged,
        )

    async def _sample_groups(self, step: int, emphasis: Emphasis) -> Samples:
        priors = [self._conditions.prior_at(turn) for turn in self._turns(step)]
        priors = [prior.times(emphasis(prior.counts)) for prior in priors]
        counts = group_counts(priors, self._config.seed, step)
        conditions = self._of_groups(step)
        requests = [
            self._request(step, group, count, conditions[group]) for group, count in enumerate(counts)
        ]
        warming: list[asyncio.Task[None]] = []
        waiting = len(requests)

        def warm(part: Samples) -> None:
            nonlocal waiting
            waiting -= 1
            # The last group gains nothing: the whole step is scored right after it.
            if self._warm and waiting:
                warming.append(asyncio.ensure_future(self._scorer.warm(part.crystals)))

        try:
            samples = await self._link.sample_each(requests, warm)
            await asyncio.gather(*warming)
            return samples
        finally:
            for task in warming:
                task.cancel()
            await asyncio.gather(*warming, return_exceptions=True)

    def _turns(self, step: int) -> range:
        return range((step - 1) * self._config.groups, step * self._config.groups)

    def _of_groups(self, step: int) -> list[generator_pb2.Condition | None]:
        return [self._conditions.at(turn) for turn in self._turns(step)]

    def _request(
        self, step: int, group: int, count: int, condition: generator_pb2.Condition | None
    ) -> generator_pb2.SampleRequest:
        members, sampler = self._config.group_size, self._config.sampler
        shared = derive_seed(self._config.seed, "initial noise", step, group)
        return generator_pb2.SampleRequest(
            num_atoms=[count] * members,
            num_samples=members,
            conditions=[] if condition is None else [condition],
            sample_seeds=member_seeds(self._config.seed, step, group, members),
            initial_noise_seeds=[shared] * members if self._config.share_initial_noise else [],
            sampler=generator_pb2.SamplerSettings(
                steps=sampler.steps, eta=sampler.eta, guidance_scale=sampler.guidance_scale
            ),
            return_trajectory=self._trajectories,
            return_embeddings=self._config.reward.needs_embeddings,
        )
