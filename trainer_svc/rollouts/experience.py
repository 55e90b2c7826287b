"""Memory of a run's earlier steps beside its weights: formulas, successes, its best latents."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from trainer_svc.config.run_config import RunConfig
from trainer_svc.rewards.measurements import FloatColumn, Measurements
from trainer_svc.rewards.metrics import FOUND_BEFORE
from trainer_svc.rollouts.curriculum import Successes
from trainer_svc.seeds import derive_seed
from xenolith.crystal import CrystalBatch

__all__ = ["Experience", "ExperienceState"]


class ExperienceState(BaseModel):
    """The part of it that is text and numbers, as a checkpoint keeps it."""

    model_config = ConfigDict(extra="forbid")

    formulas: dict[str, int] = {}
    """Valid crystals made so far, by reduced formula."""
    successes: dict[int, tuple[float, float]] = {}
    """See `Successes`."""
    replayed: list[tuple[str, float]] = []
    """Formula and reward of each latent kept, best first."""


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """A latent worth learning from again."""

    formula: str
    reward: float
    latents: Tensor
    """(N, L)."""


class Experience:
    """A run's memory; what the configuration does not ask for stays empty."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._formulas: Counter[str] = Counter()
        self._successes = Successes()
        self._kept: list[_Kept] = []

    def recall(self, crystals: CrystalBatch, measured: Measurements) -> Measurements:
        """Add what earlier steps say of B samples to what was measured of them."""
        if not self._config.reward.creativity.memory:
            return measured
        found = np.array([self._formulas[crystal.formula] for crystal in crystals], dtype=np.float64)
        return measured.with_column(FOUND_BEFORE, found)

    def add(
        self,
        crystals: CrystalBatch,
        measured: Measurements,
        rewards: FloatColumn,
        wanted: NDArray[np.bool_],
        latents: Tensor,
    ) -> NDArray[np.bool_]:
        """Remember a step.

        Parameters
        ----------
        crystals, measured
            B samples.
        rewards
            (B,) comparable between steps.
        wanted
            (B,) whether each is metastable, unique and novel.
        latents
            (T, L) final latents.

        Returns
        -------
        (B,) bool
            Which samples are kept for replay.
        """
        formulas = [crystal.formula for crystal in crystals]
        if self._config.reward.creativity.memory:
            valid = measured.column("valid") == 1.0
            self._formulas.update(
                formula for formula, good in zip(formulas, valid, strict=True) if good and formula
            )
        if self._config.atom_counts.curriculum is not None:
            self._successes.add(crystals.num_atoms, wanted)
        kept = np.zeros(len(crystals), dtype=bool)
        if self._config.replay.size:
            starts = crystals.offsets
            found = {
                int(index): _Kept(
                    formula=formulas[index],
                    reward=float(rewards[index]),
                    latents=latents[int(starts[index]) : int(starts[index + 1])].clone(),
                )
                for index in np.flatnonzero(wanted)
            }
            self._keep(found.values())
            for index, one in found.items():
                kept[index] = any(one is other for other in self._kept)
        return kept

    def emphasis(self, counts: list[int]) -> NDArray[np.float64] | None:
        """Factors of the probabilities of atom counts; None without curriculum."""
        return self.emphasis_of(self._successes.counted)(counts)

    def emphasis_of(
        self, counted: dict[int, tuple[float, float]]
    ) -> Callable[[list[int]], NDArray[np.float64] | None]:
        """Give `emphasis` as it was or will be with these successes, whatever is counted later."""
        floor, successes = self._config.atom_counts.curriculum, Successes(counted)
        return lambda counts: None if floor is None else successes.weights(counts, floor)

    def replayed(self, step: int) -> list[Tensor]:
        """Draw latents (N, L) of earlier steps for this one."""
        wanted = min(self._config.replay.per_step, len(self._kept))
        if not self._config.replay.size or not wanted:
            return []
        draw = np.random.default_rng(derive_seed(self._config.seed, "replay", step))
        chosen = draw.choice(len(self._kept), size=wanted, replace=False)
        return [self._kept[index].latents for index in sorted(chosen.tolist())]

    def state(self) -> ExperienceState:
        """Give what is text and numbers."""
        return ExperienceState(
            formulas=dict(self._formulas),
            successes=self._successes.counted,
            replayed=[(kept.formula, kept.reward) for kept in self._kept],
        )

    def tensors(self) -> dict[str, Tensor]:
        """Give what are tensors, named by their place."""
        return {f"{place:06d}": kept.latents for place, kept in enumerate(self._kept)}

    def restore(self, state: ExperienceState, tensors: dict[str, Tensor]) -> None:
        """Go on from what was kept."""
        self._formulas = Counter(state.formulas)
        self._successes = Successes(state.successes)
        self._kept = [
            _Kept(formula=formula, reward=reward, latents=tensors[f"{place:06d}"].clone())
            for place, (formula, reward) in enumerate(state.replayed)
        ]

    def _keep(self, found: Any) -> None:
        best: dict[str, _Kept] = {kept.formula: kept for kept in self._kept}
        for kept in found:
            if kept.formula not in best or kept.reward > best[kept.formula].reward:
                best[kept.formula] = kept
        ranked = sorted(best.values(), key=lambda kept: (-kept.reward, kept.formula))
        self._kept = ranked[: self._config.replay.size]
