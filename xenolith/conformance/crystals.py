"""Textbook crystals that an oracle can measure, the same ones written differently, and broken ones."""

from collections.abc import Collection, Iterator

import numpy as np

from xenolith.crystal import Crystal
from xenolith.elements import SYMBOLS, atomic_number
from xenolith.errors import InvalidArgumentError
from xenolith.v1 import crystal_pb2, oracle_pb2

__all__ = ["broken_crystals", "redescribed", "sample_crystals", "strained"]

_FCC = (np.ones((3, 3)) - np.eye(3)) / 2
_BCC = np.ones((3, 3)) / 2 - np.eye(3)
_ONE = np.zeros((1, 3))
_SITES = {
    "rocksalt": (_FCC, [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]),
    "zincblende": (_FCC, [[0.0, 0.0, 0.0], [0.25, 0.25, 0.25]]),
    "cscl": (np.eye(3), [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]),
    "fcc": (_FCC, [[0.0, 0.0, 0.0]]),
    "bcc": (_BCC, [[0.0, 0.0, 0.0]]),
}
# Measured lattice constants of the conventional cells, Angstrom.
_TEXTBOOK = (
    ("rocksalt", "Na Cl", 5.64), ("rocksalt", "Mg O", 4.21), ("zincblende", "Si Si", 5.43),
    ("fcc", "Al", 4.05), ("rocksalt", "Li F", 4.03), ("zincblende", "Ga As", 5.65), ("cscl", "Cs Cl", 4.12),
    ("rocksalt", "K Cl", 6.29), ("rocksalt", "Ca O", 4.81), ("zincblende", "C C", 3.57), ("fcc", "Cu", 3.61),
    ("bcc", "Na", 4.29), ("bcc", "Fe", 2.87), ("fcc", "Ni", 3.52), ("bcc", "W", 3.16), ("fcc", "Ag", 4.09),
    ("fcc", "Au", 4.08), ("zincblende", "Zn S", 5.41), ("zincblende", "Ge Ge", 5.66), ("fcc", "Pt", 3.92),
    ("fcc", "Pd", 3.89), ("bcc", "Li", 3.51), ("fcc", "Ca", 5.58), ("fcc", "Ar", 5.26),
)  # fmt: skip
_FALLBACK_VOLUME = 18.0  # Angstrom^3 per atom, common to most elements within a factor of two
_WANTED = 6


def sample_crystals(description: oracle_pb2.OracleServiceDescribeResponse) -> list[Crystal]:
    """Return at least one, at most six textbook crystals of elements that an oracle covers.

    Raises
    ------
    InvalidArgumentError
        It covers no element.
    """
    covered = _covered(description)
    if description.references and description.references[0].hull_id:
        covered &= set(description.references[0].hull_elements) or covered
    chosen = [
        _crystal(kind, symbols.split(), size)
        for kind, symbols, size in _TEXTBOOK
        if {atomic_number(symbol) for symbol in symbols.split()} <= covered
    ][:_WANTED]
    for number in sorted(covered):
        if len(chosen) >= _WANTED:
            break
        if all(set(crystal.numbers.tolist()) != {number} for crystal in chosen):
            chosen.append(_crystal("fcc", [SYMBOLS[number]], (4 * _FALLBACK_VOLUME) ** (1 / 3)))
    if not chosen:
        raise InvalidArgumentError("Describe lists no element that the default calculator covers")
    return chosen


def redescribed(crystal: Crystal, seed: int = 0) -> Crystal:
    """Return the same crystal rotated, shifted, in a cell twice as large, its atoms in another order."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    change = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 2]])
    frac = crystal.frac_coords + rng.random(3)
    frac = np.concatenate([frac, frac + np.array([0.0, 0.0, 1.0])]) @ np.linalg.inv(change)
    order = rng.permutation(len(frac))
    return Crystal(
        lattice=change @ crystal.lattice @ turn,
        numbers=np.tile(crystal.numbers, 2)[order],
        frac_coords=frac[order],
    )


def strained(crystal: Crystal, factor: float) -> Crystal:
    """Return the crystal with every length multiplied by `factor`."""
    return Crystal(lattice=crystal.lattice * factor, numbers=crystal.numbers, frac_coords=crystal.frac_coords)


def broken_crystals(
    good: Crystal, description: oracle_pb2.OracleServiceDescribeResponse
) -> dict[str, tuple[Crystal, frozenset[int]]]:
    """Return structures that are no crystals by what is wrong with them, and the statuses they may have."""
    s = crystal_pb2
    cases: dict[str, tuple[Crystal, frozenset[int]]] = {}
    for name, crystal in _not_finite(good):
        cases[name] = (crystal, frozenset({s.STRUCTURE_STATUS_NONFINITE}))
    for name, crystal in _bad_cells(good):
        cases[name] = (crystal, frozenset({s.STRUCTURE_STATUS_BAD_CELL}))
    for name, crystal in _foreign(good, _covered(description)):
        cases[name] = (crystal, frozenset({s.STRUCTURE_STATUS_UNSUPPORTED_ELEMENT}))
    nothing = Crystal(lattice=good.lattice, numbers=np.zeros(0, np.int32), frac_coords=np.zeros((0, 3)))
    cases["no-atoms"] = (nothing, frozenset({s.STRUCTURE_STATUS_MALFORMED}))
    cases["coincident-atoms"] = (_doubled(good, 0.0), frozenset({s.STRUCTURE_STATUS_TOO_CLOSE}))
    dense = {s.STRUCTURE_STATUS_BAD_DENSITY, s.STRUCTURE_STATUS_BAD_CELL, s.STRUCTURE_STATUS_TOO_CLOSE}
    limits = description.validity_limits
    if limits.min_distance > 0:
        near = _doubled(good, 0.5 * limits.min_distance)
        cases["close-atoms"] = (near, frozenset({s.STRUCTURE_STATUS_TOO_CLOSE}))
    if limits.min_volume_per_atom > 0 or limits.max_density > 0 or limits.min_distance > 0:
        cases["tiny-cell"] = (strained(good, 1e-3), frozenset(dense))
    if limits.max_volume_per_atom > 0:
        factor = (100.0 * limits.max_volume_per_atom * good.num_atoms / good.volume) ** (1 / 3)
        cases["dilute"] = (
            strained(good, factor),
            frozenset({s.STRUCTURE_STATUS_BAD_CELL, s.STRUCTURE_STATUS_BAD_DENSITY}),
        )
    return cases


def _covered(description: oracle_pb2.OracleServiceDescribeResponse) -> set[int]:
    """Elements the default calculator covers; all if it names none."""
    if description.calculators and description.calculators[0].elements:
        return {z for z in description.calculators[0].elements if 0 < z < len(SYMBOLS)}
    return set(range(1, len(SYMBOLS)))


def _crystal(kind: str, symbols: list[str], size: float) -> Crystal:
    shape, sites = _SITES[kind]
    return Crystal(
        lattice=size * shape,
        numbers=np.array([atomic_number(symbol) for symbol in symbols]),
        frac_coords=np.array(sites),
    )


def _not_finite(good: Crystal) -> Iterator[tuple[str, Crystal]]:
    for name, value in (("nan", np.nan), ("infinity", np.inf)):
        lattice, frac = good.lattice.copy(), good.frac_coords.copy()
        lattice[1, 2] = frac[-1, 0] = value
        yield (
            f"{name}-in-cell",
            Crystal(lattice=lattice, numbers=good.numbers, frac_coords=good.frac_coords),
        )
        yield (
            f"{name}-in-coordinates",
            Crystal(lattice=good.lattice, numbers=good.numbers, frac_coords=frac),
        )


def _bad_cells(good: Crystal) -> Iterator[tuple[str, Crystal]]:
    flat = good.lattice.copy()
    flat[2] = flat[0] + flat[1]
    for name, lattice in (
        ("zero-cell", np.zeros((3, 3))),
        ("flat-cell", flat),
        ("huge-cell", good.lattice * 1e120),
    ):
        yield name, Crystal(lattice=lattice, numbers=good.numbers, frac_coords=good.frac_coords)


def _foreign(good: Crystal, covered: Collection[int]) -> Iterator[tuple[str, Crystal]]:
    wrong = {"element-0": 0, "element-119": 119, "element-negative": -3, "element-huge": 2**31 - 1}
    uncovered = [number for number in range(1, len(SYMBOLS)) if number not in covered]
    if uncovered:
        wrong["element-uncovered"] = uncovered[-1]
    for name, number in wrong.items():
        numbers = good.numbers.copy()
        numbers[0] = number
        yield name, Crystal(lattice=good.lattice, numbers=numbers, frac_coords=good.frac_coords)


def _doubled(good: Crystal, distance: float) -> Crystal:
    """Every atom twice, `distance` apart, in a cell twice as large: the density is that of the crystal."""
    lattice = good.lattice * 2 ** (1 / 3)
    step = np.array([distance, 0.0, 0.0]) @ np.linalg.inv(lattice)
    return Crystal(
        lattice=lattice,
        numbers=np.concatenate([good.numbers, good.numbers]),
        frac_coords=np.concatenate([good.frac_coords, good.frac_coords + step]),
    )
