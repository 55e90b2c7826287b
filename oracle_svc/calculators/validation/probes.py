"""Crystals to try a calculator on, and other descriptions of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ase.data import covalent_radii

from oracle_svc.crystals.elements import element_name
from xenolith.crystal import Crystal

__all__ = ["bad_crystals", "descriptions", "element_crystal", "probes", "uncovered_element"]

_FCC = (np.ones((3, 3)) - np.eye(3)) / 2
_FAVOURITES = (11, 17, 29, 14, 13, 79, 8, 26)
"""Elements that nearly every calculator has: Na, Cl, Cu, Si, Al, Au, O, Fe."""


def probes(elements: frozenset[int], rng: np.random.Generator) -> list[Crystal]:
    """Small crystals of covered elements, out of equilibrium so that no force vanishes."""
    ordered = [z for z in _FAVOURITES if z in elements] + sorted(elements - set(_FAVOURITES))
    first, second = ordered[0], ordered[1 if len(ordered) > 1 else 0]
    salt = Crystal(
        lattice=2.2 * _bond(first, second) * _FCC,
        numbers=np.array([first, second]),
        frac_coords=np.array([[0.0] * 3, [0.5] * 3]),
    )
    sites = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    alloy = Crystal(
        lattice=1.55 * _bond(first, second) * np.eye(3),
        numbers=np.array([second, first, first, second]),
        frac_coords=sites,
    )
    return [_shaken(element_crystal(first), rng), _shaken(salt, rng), _shaken(alloy, rng)]


def element_crystal(number: int) -> Crystal:
    """An element on a face-centred cubic lattice."""
    edge = np.sqrt(2) * 1.05 * _bond(number, number)
    return Crystal(lattice=edge * _FCC, numbers=np.array([number]), frac_coords=np.zeros((1, 3)))


def uncovered_element(elements: frozenset[int]) -> int:
    """Atomic number that the calculator does not claim; one beyond the table if it claims all."""
    return next((z for z in range(1, 119) if z not in elements), 119)


def descriptions(crystal: Crystal, rng: np.random.Generator) -> dict[str, Crystal]:
    """The same crystal in other words, by what is different."""
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    order = np.roll(np.arange(crystal.num_atoms), 1)[::-1]
    copies = np.array(list(np.ndindex(2, 1, 1)))
    doubled = (crystal.frac_coords[:, None] + copies[None]) / [2, 1, 1]
    change = np.array([[1, 1, 0], [0, 1, 0], [0, -1, 1]])
    lattice, numbers, frac = crystal.lattice, crystal.numbers, crystal.frac_coords
    told = {
        "rotated": (lattice @ (turn * np.sign(np.linalg.det(turn))), numbers, frac),
        "translated": (lattice, numbers, frac + rng.random(3)),
        "moved by whole cells": (lattice, numbers, frac + rng.integers(-2, 3, size=frac.shape)),
        "relabelled": (lattice, numbers[order], frac[order]),
        "as a supercell": (lattice * [[2], [1], [1]], np.repeat(numbers, 2), doubled.reshape(-1, 3)),
        "in a skewed cell": (change @ lattice, numbers, frac @ np.linalg.inv(change)),
    }
    return {
        name: Crystal(lattice=cell, numbers=species, frac_coords=coords)
        for name, (cell, species, coords) in told.items()
    }


def bad_crystals(good: Crystal, stranger: int) -> dict[str, Crystal]:
    """Structures without an energy, by what is wrong with them."""
    none = np.zeros(0, dtype=np.int32)
    name = element_name(stranger) if stranger <= 118 else str(stranger)
    return {
        "without atoms": Crystal(lattice=np.eye(3), numbers=none, frac_coords=np.zeros((0, 3))),
        "with NaN in its cell": replace(good, lattice=np.full((3, 3), np.nan)),
        "with infinite coordinates": replace(good, frac_coords=np.full(good.frac_coords.shape, np.inf)),
        "with a flat cell": replace(good, lattice=np.ones((3, 3))),
        f"of element {name}": replace(good, numbers=np.full(good.num_atoms, stranger)),
    }


def _bond(first: int, second: int) -> float:
    return float(covalent_radii[first] + covalent_radii[second])


def _shaken(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    strain = np.eye(3) + 0.03 * rng.normal(size=(3, 3))
    moved = crystal.frac_coords + 0.02 * rng.normal(size=crystal.frac_coords.shape)
    return Crystal(lattice=crystal.lattice @ strain, numbers=crystal.numbers, frac_coords=moved)
