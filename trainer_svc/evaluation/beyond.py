"""Novelty against more than the run's reference: the oracle's further ones, and the run's own targets.

A sample that the run's reference lacks may be listed elsewhere, which makes it a *rediscovery*, or may be
what the run was trained on as if it were data. Nothing here costs an evaluation by the calculator.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer_svc.evaluation.headline import measured_flags
from trainer_svc.rewards.measurements import FloatColumn, Measurements
from trainer_svc.services.scoring import Scorer
from xenolith.contract.evaluations import EXCLUDING_OWN_TARGETS
from xenolith.crystal import Crystal, CrystalBatch

__all__ = ["FurtherNovelty", "further_flags", "further_novelty", "novel_beside", "reference_names"]

_AT_ONCE = 5_000
"""Crystals of one request that count as known."""


@dataclass(frozen=True, kw_only=True)
class FurtherNovelty:
    """How B samples compare with a further reference."""

    name: str
    """Of the reference, as keys and columns call it."""
    novel: FloatColumn
    """(B,) 1 where it lacks the sample, 0 where it has it, NaN without a verdict."""
    nearest: tuple[str, ...]
    """(B,) id of its nearest crystal of the same formula; empty where there is none."""

    @property
    def columns(self) -> dict[str, list[float | str | None]]:
        """Columns of a table of the samples."""
        found = [None if np.isnan(value) else value for value in self.novel.tolist()]
        return {f"novel_{self.name}": found, f"nearest_{self.name}": list(self.nearest)}


def reference_names(ids: Sequence[str]) -> list[str]:
    """Name references by the part of their ids before the digest; by the whole id where two share it."""
    short = [id_.rpartition("-")[0] or id_ for id_ in ids]
    return [name if short.count(name) == 1 else id_ for name, id_ in zip(short, ids, strict=True)]


async def further_novelty(scorer: Scorer, crystals: CrystalBatch) -> tuple[FurtherNovelty, ...]:
    """Compare B samples with every reference of the oracle that is not the run's."""
    ids = await scorer.further_references()
    found = []
    for name, reference_id in zip(reference_names(ids), ids, strict=True):
        measured = await scorer.novelty(crystals, reference_id=reference_id)
        found.append(
            FurtherNovelty(name=name, novel=measured.column("novel"), nearest=measured.nearest_reference)
        )
    return tuple(found)


async def novel_beside(
    scorer: Scorer, crystals: CrystalBatch, measured: Measurements, targets: Sequence[Crystal]
) -> NDArray[np.bool_]:
    """Tell which of B samples are novel also where these crystals count as known: (B,).

    Parameters
    ----------
    crystals, measured
        The samples, with their novelty against the run's reference.
    targets
        Crystals that the policy was trained on as if they were data.
    """
    novel = measured_flags(measured)["novel"]
    # Crystals that are the same have one formula.
    formulas = {crystal.formula for crystal in crystals}
    known = [crystal for crystal in targets if crystal.formula in formulas]
    for start in range(0, len(known), _AT_ONCE):
        piece = CrystalBatch.from_crystals(known[start : start + _AT_ONCE])
        novel = novel & ((await scorer.novelty(crystals, known=piece)).column("novel") == 1.0)
    return novel


def further_flags(
    measured: Measurements, further: Sequence[FurtherNovelty], beside: NDArray[np.bool_]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield each share's name with the (B,) samples that make it.

    ``novel_<name>`` are novel against the run's reference and that one; ``rediscovered_<name>`` are novel
    against the run's reference and listed in that one. A reference that gave no verdict at all has no share.
    """
    novel = measured_flags(measured)["novel"]
    valid = measured.column("valid") == 1.0
    for other in further:
        if valid.any() and not np.isfinite(other.novel).any():
            continue
        yield f"novel_{other.name}", novel & (other.novel == 1.0)
        yield f"rediscovered_{other.name}", novel & (other.novel == 0.0)
    yield EXCLUDING_OWN_TARGETS, beside
