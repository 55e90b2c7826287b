"""Sampling and scoring ahead of the update: how far is one number, the same in every step.

With a lag of s, the samples of step k are drawn by the policy after step k - 1 - s (the one that the run
starts from, in the first steps), while later steps are still being scored and learnt from. The lag is not a
bound that the machine's speed fills as it likes: which policy draws which step is fixed, so that a run
repeats, and goes on after an interruption, as a serial one does. A step that was sampled and not learnt from
is sampled anew then.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from torch import Tensor

from trainer_svc.rollouts.pipeline import Collected, Emphasis, RolloutPipeline
from trainer_svc.services.policy_link import PolicyLink

__all__ = ["Ahead", "Snapshot"]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """State after a step, by which the samples of a later one are drawn."""

    step: int
    """After which."""
    version: str
    weights: Mapping[str, Tensor]
    """Of the policy; nobody changes them any more."""
    emphasis: Emphasis
    """How atom counts are drawn."""


class Ahead:
    """Steps on their way to the learner; leaving the context ends them.

    Parameters
    ----------
    pipeline, link
        Draw and measure.
    turn
        Held while the generator samples with a policy of the caller's choice.
    lag
        How many updates samples are behind, at least 1.
    done, steps
        Steps that are learnt from already, and steps of the run.
    """

    def __init__(
        self,
        pipeline: RolloutPipeline,
        link: PolicyLink,
        turn: asyncio.Lock,
        *,
        lag: int,
        done: int,
        steps: int,
    ) -> None:
        self._pipeline, self._link, self._turn = pipeline, link, turn
        self._lag, self._done, self._steps = lag, done, steps
        self._on_their_way: dict[int, asyncio.Task[Collected]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = list(self._on_their_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def release(self, snapshot: Snapshot) -> None:
        """Begin with the steps that this snapshot draws."""
        first = 1 if snapshot.step == 0 else snapshot.step + 1 + self._lag
        for step in range(first, snapshot.step + 2 + self._lag):
            if self._done < step <= self._steps:
                self._on_their_way[step] = asyncio.create_task(self._collect(step, snapshot))

    async def collected(self, step: int) -> Collected:
        """Wait for the samples of a step, measured."""
        return await self._on_their_way.pop(step)

    async def _collect(self, step: int, snapshot: Snapshot) -> Collected:
        # Turns are taken in the order of asking, which is that of the steps.
        async with self._turn:
            if self._link.version != snapshot.version:
                await self._link.publish(snapshot.version, dict(snapshot.weights))
            drawn = await self._pipeline.sample(step, snapshot.emphasis)
        return await self._pipeline.measure(drawn)
