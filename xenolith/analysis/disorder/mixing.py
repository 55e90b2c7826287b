"""The mixing test: whether an ordered crystal would be disordered at the temperature at which it is made."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xenolith.analysis.disorder.orderings import enumerate_orderings, quasi_random_cells
from xenolith.analysis.disorder.parent import DisorderedParent, parent_of
from xenolith.analysis.disorder.sharing import sharing_sets
from xenolith.analysis.pieces import score_in_pieces
from xenolith.convert import Item

if TYPE_CHECKING:
    from xenolith.client import Client, Score
    from xenolith.crystal import Crystal

__all__ = ["Bounds", "Mixing", "mixing_tests"]


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much is computed for one parent."""

    most_shared: int = 8
    """Shared sites of the largest cell that is enumerated."""
    orderings: int = 60
    """Enumerated cells that are measured as they are."""
    relaxed: int = 3
    """Of these, the lowest that are relaxed."""
    random_shared: int = 16
    """Shared sites of a quasi-random cell."""
    random_cells: int = 2
    """Quasi-random cells, all of them relaxed."""


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """Results for one set of elements in one crystal. Energies are relaxed, eV/atom."""

    source: str
    """Where the crystal came from."""
    formula: str
    mixing: frozenset[int]
    """The elements that share sites, as atomic numbers."""
    parent: DisorderedParent
    orderings: int
    """Ordered cells that were enumerated."""
    spread: float | None
    """Standard deviation of their unrelaxed energies, each with its share of decorations."""
    given_energy: float | None
    """Of the crystal as given."""
    lowest_energy: float | None
    """Lowest of all orderings, the crystal as given among them."""
    random_energy: float | None
    """Mean of the quasi-random cells."""
    random_above_hull: float | None
    """Mean of the quasi-random cells above the hull; None where the oracle has none."""
    problem: str = ""
    """Why there is no ordering temperature."""

    @property
    def ordering_temperature(self) -> float | None:
        """K: where the entropy of ideal mixing pays for the energy of randomness over the best order."""
        return _temperature(self.random_energy, self.lowest_energy, self.parent.mixing_entropy)

    @property
    def mixing_temperature(self) -> float | None:
        """K: the same over everything known that it could decompose into; with nothing known, None."""
        return _temperature(self.random_above_hull, 0.0, self.parent.mixing_entropy)

    def disordered_at(self, temperature: float) -> bool | None:
        """Whether order is lost at a temperature (K); None if that was not measured."""
        ordering = self.ordering_temperature
        return None if ordering is None else ordering < temperature


def mixing_tests(
    client: Client,
    items: Sequence[Item],
    bounds: Bounds | None = None,
    *,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> tuple[list[Mixing], dict[str, str]]:
    """Put crystals to the mixing test.

    Elements that could share a site are merged; where sites of different elements become equivalent, the
    orderings of this parent are enumerated, measured and the lowest relaxed, beside quasi-random cells.

    Parameters
    ----------
    client
        Of an oracle that relaxes.
    items
        The crystals.
    bounds
        How much is computed.
    progress
        Told how many crystals are done, of how many.

    Returns
    -------
    tuple
        A result for each crystal and set of elements whose merging raises the symmetry; and why each other
        crystal has none, by its source.

    Raises
    ------
    XenolithError
        A call as a whole fails.
    """
    results: list[Mixing] = []
    others: dict[str, str] = {}
    for done, item in enumerate(items, 1):
        if item.crystal is None or item.problem is not None:
            others[item.source] = f"cannot be read: {item.problem}"
        else:
            found = _tests_of(client, item.source, item.crystal, bounds or Bounds())
            results += found
            if not found:
                others[item.source] = "no elements whose sites become equivalent"
        progress(done, len(items))
    return results, others


def _tests_of(client: Client, source: str, crystal: Crystal, bounds: Bounds) -> list[Mixing]:
    found = []
    for mixing in sharing_sets(crystal.numbers.tolist()):
        parent = parent_of(crystal, mixing)
        # A set whose parent shares no site among all of its elements is a smaller set's again.
        if parent is not None and mixing == _shared_elements(parent):
            found.append(_test(client, source, crystal, parent, bounds))
    return found


def _shared_elements(parent: DisorderedParent) -> frozenset[int]:
    return frozenset(z for occupancy in parent.occupancies if len(occupancy) > 1 for z in occupancy)


def _test(client: Client, source: str, crystal: Crystal, parent: DisorderedParent, bounds: Bounds) -> Mixing:
    orderings = enumerate_orderings(parent, most_shared=bounds.most_shared, most=bounds.orderings)
    raw = _scores(client, [ordering.crystal for ordering in orderings], relax=False)
    energies = np.array([_nan(score.energy_per_atom) for score in raw])
    best = np.argsort(energies)[: bounds.relaxed]
    lowest = [orderings[row].crystal for row in best if np.isfinite(energies[row])]
    random = quasi_random_cells(parent, shared=bounds.random_shared, cells=bounds.random_cells)
    relaxed = _scores(client, [crystal, *lowest, *random], relax=True)
    values = [_relaxed(score) for score in relaxed]
    ordered = [value for value in values[: 1 + len(lowest)] if value is not None]
    mixed = [value for value in values[1 + len(lowest) :] if value is not None]
    above = [
        score.relaxation.e_above_hull
        for score in relaxed[1 + len(lowest) :]
        if score.relaxation is not None and score.relaxation.e_above_hull is not None
    ]
    problem = ""
    if not random:
        problem = "no cell small enough holds this composition"
    elif not mixed or not ordered:
        problem = next((score.message for score in relaxed if score.message), "nothing could be relaxed")
    return Mixing(
        source=source,
        formula=crystal.formula,
        mixing=_shared_elements(parent),
        parent=parent,
        orderings=len(orderings),
        spread=_deviation(energies, np.array([ordering.weight for ordering in orderings])),
        given_energy=values[0],
        lowest_energy=min(ordered, default=None),
        random_energy=float(np.mean(mixed)) if mixed else None,
        random_above_hull=float(np.mean(above)) if above else None,
        problem=problem,
    )


def _scores(client: Client, crystals: Sequence[Crystal], *, relax: bool) -> Sequence[Score]:
    items = [Item(source=str(index), crystal=crystal) for index, crystal in enumerate(crystals)]
    settings: dict[str, Any] | None = {"relax": {}} if relax else None
    # Few at once where they are relaxed: no call outlives its deadline.
    return score_in_pieces(
        client, items, components=("stability",), settings=settings, piece=8 if relax else 64
    ).scores


def _relaxed(score: Score) -> float | None:
    after = score.relaxation
    return after.energy_per_atom if after is not None and after.converged else None


def _nan(value: float | None) -> float:
    return math.nan if value is None else value


def _deviation(energies: NDArray[np.float64], weights: NDArray[np.float64]) -> float | None:
    good = np.isfinite(energies)
    if not good.any():
        return None
    mean = np.average(energies[good], weights=weights[good])
    return float(np.sqrt(np.average((energies[good] - mean) ** 2, weights=weights[good])))


def _temperature(energy: float | None, lowest: float | None, entropy: float) -> float | None:
    return None if energy is None or lowest is None else max(0.0, energy - lowest) / entropy
