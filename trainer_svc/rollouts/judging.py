"""A second judge for the best of a step: the cheap calculator sees all samples, the expensive one a few.

What a policy learns to please is the calculator that values it. Where it matters, among the samples that
would earn most, another one has the word: its energy above its own hull takes the place of the cheap one's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer_svc.algorithms.base import AlgorithmSettings
from trainer_svc.rewards.measurements import FloatColumn, Measurements
from trainer_svc.rollouts.best import best_rows
from trainer_svc.services.scoring import Scorer
from xenolith.crystal import CrystalBatch
from xenolith.headlines import METASTABLE_BELOW

__all__ = ["Judged", "Judging"]

_ENERGY = "e_above_hull"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Energies of a few of B structures by the judge."""

    rows: NDArray[np.int64]
    """(k,) which they are."""
    energies: FloatColumn
    """(k,) eV/atom above its hull, NaN where it has no opinion: the cheap one stays then."""

    def applied(self, measured: Measurements) -> Measurements:
        """Let its word count."""
        column = measured.column(_ENERGY).copy()
        placed = np.isfinite(self.energies)
        column[self.rows[placed]] = self.energies[placed]
        return measured.with_column(_ENERGY, column)

    def metrics(self, measured: Measurements) -> dict[str, float]:
        """Return how it differs from the cheap one, over those that it placed."""
        placed = np.isfinite(self.energies)
        ours, theirs = self.energies[placed], measured.column(_ENERGY)[self.rows[placed]]
        found = {"judged": float(placed.sum())}
        if placed.any():
            found["judge_shift"] = float((ours - theirs).mean())
            agree = (ours < METASTABLE_BELOW) == (theirs < METASTABLE_BELOW)
            found["judge_agreement"] = float(agree.mean())
        return found


class Judging:
    """Asks an auditor of the oracle.

    Parameters
    ----------
    settings
        Which one, and of how many structures.
    scorer
        Oracle.
    """

    def __init__(self, settings: AlgorithmSettings, scorer: Scorer) -> None:
        self._settings, self._scorer = settings, scorer

    async def opinions(self, crystals: CrystalBatch, measured: Measurements) -> Judged | None:
        """Have the most stable of B valid, unique and novel structures judged; None if there are none."""
        rows = best_rows(measured, self._settings.judge_best, np.inf)
        if not len(rows):
            return None
        judge = self._settings.judge
        answer = await self._scorer.second_opinions(crystals.take(rows), [judge])
        energies = [
            next(
                (a.e_above_hull for a in score.audits if a.calculator_id == judge and a.HasField(_ENERGY)),
                np.nan,
            )
            for score in answer.scores
        ]
        return Judged(rows=rows, energies=np.array(energies, dtype=np.float64))
