"""A crystal of a data block, with notes; or the reason why there is none."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from xenolith.convert.reading.cif.blocks import Block, split_blocks
from xenolith.convert.reading.cif.expansion import (
    MERGED,
    MERGED_ON_EVIDENCE,
    Expanded,
    coinciding,
    crowding,
    expand,
)
from xenolith.convert.reading.cif.sites import Site, sites_of
from xenolith.convert.reading.cif.stated import (
    contradiction,
    stated_formula,
    stated_units,
    volume_contradiction,
)
from xenolith.convert.reading.cif.symmetry import Candidate, Symmetry, symmetry_of
from xenolith.convert.reading.content import Text
from xenolith.convert.reading.found import Found
from xenolith.convert.reading.lattice import lattice_from_parameters
from xenolith.convert.reading.numbers import number
from xenolith.crystal import Crystal, Floats
from xenolith.errors import DisorderedError, ReadError

__all__ = ["read_cif_blocks"]

_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_CLEARLY = 1.1
"""By this factor the shortest distances of two readings have to differ for one to be the right one."""


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """The atoms by one reading of the symmetry."""

    numbers: list[int]
    positions: Floats
    notes: list[str]
    against: str
    """What in the block contradicts it; empty if nothing does."""


def read_cif_blocks(text: Text) -> Iterator[Found]:
    """Yield one find for each data block that says anything of a crystal."""
    for name, block in split_blocks(text.text):
        if isinstance(block, ReadError):
            yield Found(name=name, problem=block)
        elif block.holds_crystal:
            try:
                crystal, notes = _crystal(block)
            except ReadError as error:
                yield Found(name=name, problem=error)
                continue
            yield Found(name=name, crystal=crystal, notes=(*text.notes, *dict.fromkeys(notes)))


def _crystal(block: Block) -> tuple[Crystal, list[str]]:
    lattice = _lattice(block)
    notes = list(block.notes)
    if told := volume_contradiction(block, float(abs(np.linalg.det(lattice)))):
        notes.append(told)
    sites, told_of_sites, alternatives = sites_of(block)
    symmetry = symmetry_of(block, lattice)
    if alternatives:
        raise DisorderedError("has alternative sites of a disordered crystal (_atom_site_disorder_group)")
    _expect_order(sites)
    reading = _chosen(block, sites, symmetry, lattice)
    text = block.value("_chemical_formula_sum")
    if text and stated_formula(block) is None:
        notes.append(f"_chemical_formula_sum {text!r} is no plain sum: the atoms are not compared with it")
    units = block.value("_cell_formula_units_z")
    if units and stated_units(block) <= 0:
        notes.append(f"_cell_formula_units_Z {units!r} is no number of formula units, and is ignored")
    crystal = Crystal(
        lattice=lattice, numbers=np.array(reading.numbers, dtype=np.int32), frac_coords=reading.positions
    )
    return crystal, [*notes, *told_of_sites, *symmetry.notes, *reading.notes]


def _lattice(block: Block) -> Floats:
    values = []
    for name in _CELL:
        text = block.value(f"_cell_{name}")
        if not text:
            raise ReadError(f"its cell has no {name.replace('_', ' ')}")
        try:
            values.append(number(text))
        except ValueError as error:
            raise ReadError(f"its cell's {name.replace('_', ' ')}: {error}") from error
    return lattice_from_parameters(values)


def _expect_order(sites: Sequence[Site]) -> None:
    """Refuse partly occupied sites; where they share a place, they may not be more than one atom together."""
    partial = [site for site in sites if site.occupancy < 1]
    if not partial:
        return
    for site in partial:
        there = [s for s in sites if np.allclose(_wrapped(s.position, site.position), 0, atol=1e-4)]
        total = sum(s.occupancy for s in there)
        if total > 1.01 + 1e-9:
            names = ", ".join(s.label for s in there)
            raise ReadError(f"the occupancies of {names}, at one place, add up to {total:g}, more than 1")
    names = ", ".join(f"{site.label} {site.occupancy:g}" for site in partial[:3])
    raise DisorderedError(f"has partially occupied sites: {names}")


def _wrapped(a: Sequence[float], b: Sequence[float]) -> Floats:
    shift = np.array(a) - np.array(b)
    return np.asarray(shift - np.round(shift))


def _chosen(block: Block, sites: Sequence[Site], symmetry: Symmetry, lattice: Floats) -> _Reading:
    """The reading that the block supports.

    Where it states a formula or Z, one that agrees with these; of several that agree or where nothing is
    stated, that whose atoms keep clear distances.
    """
    readings = [_read(block, sites, candidate, lattice) for candidate in symmetry.candidates]
    good = [reading for reading in readings if not reading.against]
    if not good:
        raise ReadError(readings[0].against)
    evident = stated_formula(block) is not None or stated_units(block) > 0
    if symmetry.needs_evidence and not (evident and len(_distinct(good)) == 1):
        raise ReadError(f"what it says of its symmetry does not agree: {symmetry.statement}")
    if not symmetry.is_open or len(_distinct(good)) == 1:
        return good[0]
    clear = sorted(
        ((crowding(r.numbers, r.positions, lattice), rank) for rank, r in enumerate(good)), reverse=True
    )
    if clear[0][0] < clear[1][0] * _CLEARLY:
        raise ReadError(
            f"{symmetry.statement} leaves the origin open, and nothing in the block decides: list the"
            " operations, or name the setting, as in 'F d -3 m:2'"
        )
    return good[clear[0][1]]


def _distinct(readings: Sequence[_Reading]) -> list[_Reading]:
    """Readings that give different atoms."""
    found: list[_Reading] = []
    for reading in readings:
        if not any(_same_atoms(reading, other) for other in found):
            found.append(reading)
    return found


def _same_atoms(a: _Reading, b: _Reading) -> bool:
    if sorted(a.numbers) != sorted(b.numbers):
        return False
    places = [
        {(z, *np.round(place % 1.0, 3) % 1.0) for z, place in zip(r.numbers, r.positions, strict=True)}
        for r in (a, b)
    ]
    return places[0] == places[1]


def _read(block: Block, sites: Sequence[Site], candidate: Candidate, lattice: Floats) -> _Reading:
    """Expand the sites; images that are close are one atom, and those less close if the block says so."""
    formula, units = stated_formula(block), stated_units(block)
    first: _Reading | None = None
    distances = (MERGED,) if candidate.operations.trivial else (MERGED, *MERGED_ON_EVIDENCE)
    for merged in distances:
        expanded = expand(sites, candidate.operations, lattice, merged)
        expanded, notes, against = _without_doubles(sites, expanded, lattice, formula is not None)
        numbers = [sites[owner].number for owner in expanded.owners]
        against = against or contradiction(numbers, formula, units)
        notes = [*([candidate.note] if candidate.note else []), *notes, *_spread_notes(sites, expanded)]
        odd = _odd_multiplicities(sites, expanded)
        reading = _Reading(numbers=numbers, positions=expanded.positions, notes=notes + odd, against=against)
        first = first or reading
        if not against and not (odd and formula is None and merged < distances[-1]):
            return reading
    return first if first is not None else _read(block, sites, candidate, lattice)


def _without_doubles(
    sites: Sequence[Site], expanded: Expanded, lattice: Floats, formula_decides: bool
) -> tuple[Expanded, list[str], str]:
    """Atoms without those that stand twice, notes, and why that cannot be."""
    pairs = coinciding(expanded, lattice)
    if not pairs:
        return expanded, [], ""
    dropped: dict[int, str] = {}
    for a, b in pairs:
        one, other = sites[expanded.owners[a]], sites[expanded.owners[b]]
        told = f"{one.label} and {other.label} are at one place"
        if one.number != other.number or not formula_decides:
            return expanded, [], f"{told}: together they are more than one atom"
        dropped.setdefault(b, f"{one.label} and {other.label}")
    kept = [atom for atom in range(len(expanded.owners)) if atom not in dropped]
    left = Expanded(
        owners=[expanded.owners[atom] for atom in kept],
        positions=expanded.positions[kept],
        spread=expanded.spread,
    )
    names = list(dict.fromkeys(dropped.values()))
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    told = f"{', '.join(names[:5])}{more} are at one place and taken as one atom, as the formula has it"
    return left, [told], ""


def _spread_notes(sites: Sequence[Site], expanded: Expanded) -> list[str]:
    if not expanded.spread:
        return []
    names = [sites[index].label for index in itertools.islice(expanded.spread, 5)]
    largest = max(expanded.spread.values())
    return [f"images of {', '.join(names)} up to {largest:.3f} A apart are taken as one atom, at their mean"]


def _odd_multiplicities(sites: Sequence[Site], expanded: Expanded) -> list[str]:
    if not any(site.multiplicity for site in sites):
        return []
    counts = np.bincount(expanded.owners, minlength=len(sites))
    odd = [
        f"{site.label} {count} times for {site.multiplicity}"
        for site, count in zip(sites, counts, strict=True)
        if site.multiplicity and site.multiplicity != count
    ]
    return [f"the cell has other numbers than the stated multiplicities: {', '.join(odd[:3])}"] if odd else []
