"""Crystals as pictures: the cell, its atoms and bonds seen from a side, and an SVG element of that."""

import itertools
from dataclasses import dataclass
from html import escape

import numpy as np
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from numpy.typing import NDArray

from xenolith.crystal import Crystal
from xenolith.elements import SYMBOLS

__all__ = ["Scene", "draw", "drawn_radius", "element_colour", "scene"]

_SIZE = 220.0
_MARGIN = 8.0
_NEAR_FACE = 0.03
"""Atoms this close to a face (fractional) are drawn on the opposite face too, as crystallographers do."""
_BOND = 1.18
"""Atoms closer than this times the sum of covalent radii are joined."""
_ATOM = 0.55
"""Drawn radius, in covalent radii."""

Vectors = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A crystal in view coordinates: x right, y down, z towards the viewer, Angstrom."""

    positions: Vectors
    """(A, 3) atoms, images on faces included."""
    numbers: NDArray[np.int32]
    """(A,)."""
    edges: list[tuple[Vectors, Vectors]]
    """The 12 edges of the cell."""

    @property
    def bonds(self) -> list[tuple[int, int]]:
        """Pairs of atoms that are joined."""
        radii = covalent_radii[self.numbers]
        distances = np.linalg.norm(self.positions[:, None] - self.positions[None, :], axis=-1)
        joined = (distances < _BOND * (radii[:, None] + radii[None, :])) & (distances > 0.4)
        return [(int(i), int(j)) for i, j in zip(*np.nonzero(np.triu(joined, 1)), strict=True)]


def draw(crystal: Crystal) -> str:
    """Draw a crystal as an inline SVG element, 220 x 220 units.

    Parameters
    ----------
    crystal
        With a finite cell and elements 1 to 118.
    """
    seen = scene(crystal)
    corners = np.array([point for edge in seen.edges for point in edge])[:, :2]
    radii = np.array([[drawn_radius(int(number))] for number in seen.numbers])
    atoms = seen.positions[:, :2]
    low = np.concatenate([corners, atoms - radii]).min(axis=0)
    high = np.concatenate([corners, atoms + radii]).max(axis=0)
    scale = (_SIZE - 2 * _MARGIN) / max(float((high - low).max()), 1e-6)
    # Small cells would otherwise be drawn with atoms as large as the picture.
    scale = min(scale, 34.0)
    shift = _SIZE / 2 - scale * (low + high) / 2
    parts = [*_edges(seen, scale, shift), *_atoms_and_bonds(seen, scale, shift)]
    gradients = "".join(_gradient(int(number)) for number in np.unique(seen.numbers))
    title = escape(crystal.formula)
    return (
        f'<svg viewBox="0 0 {_SIZE:.0f} {_SIZE:.0f}" role="img" aria-label="{title}"><title>{title}</title>'
        f"<defs>{gradients}</defs>{''.join(parts)}</svg>"
    )


def scene(crystal: Crystal) -> Scene:
    """Place a crystal's atoms, with images of those on faces of the cell, in view coordinates.

    Parameters
    ----------
    crystal
        With a finite cell and elements 1 to 118.
    """
    frac = np.mod(crystal.frac_coords, 1.0)
    # Rounding may put an atom just below 1: it belongs on the face at 0.
    frac = np.where(frac > 1.0 - _NEAR_FACE, frac - 1.0, frac)
    positions, numbers = [], []
    for site, number in zip(frac, crystal.numbers, strict=True):
        shifts = [(0, 1) if abs(value) < _NEAR_FACE else (0,) for value in site]
        for shift in itertools.product(*shifts):
            positions.append(site + shift)
            numbers.append(number)
    view = _view(crystal.lattice)
    return Scene(
        positions=np.array(positions) @ crystal.lattice @ view,
        numbers=np.array(numbers, dtype=np.int32),
        edges=[(a @ crystal.lattice @ view, b @ crystal.lattice @ view) for a, b in _unit_edges()],
    )


def _unit_edges() -> list[tuple[Vectors, Vectors]]:
    corners = [np.array(corner, dtype=float) for corner in itertools.product((0, 1), repeat=3)]
    return [(a, b) for a, b in itertools.combinations(corners, 2) if np.abs(a - b).sum() == 1]


def _view(lattice: Vectors) -> Vectors:
    """(3, 3) matrix from Cartesian to view rows: c upwards, turned so that no axis hides another."""
    up = lattice[2] / np.linalg.norm(lattice[2])
    right = lattice[0] - (lattice[0] @ up) * up
    right = right / np.linalg.norm(right)
    towards = np.cross(right, up)
    turn, tilt = np.deg2rad(24.0), np.deg2rad(14.0)
    right, towards = (
        np.cos(turn) * right + np.sin(turn) * towards,
        -np.sin(turn) * right + np.cos(turn) * towards,
    )
    up, towards = (np.cos(tilt) * up - np.sin(tilt) * towards, np.sin(tilt) * up + np.cos(tilt) * towards)
    return np.column_stack([right, -up, towards])


def _edges(seen: Scene, scale: float, shift: Vectors) -> list[str]:
    return [_line(a, b, scale, shift, 'stroke="#b8c0cc" stroke-width="1"') for a, b in seen.edges]


def _atoms_and_bonds(seen: Scene, scale: float, shift: Vectors) -> list[str]:
    """Back to front, so that what is near covers what is far."""
    drawn = [
        (float(position[2]), _atom(position, int(number), scale, shift))
        for position, number in zip(seen.positions, seen.numbers, strict=True)
    ]
    for i, j in seen.bonds:
        a, b = seen.positions[i], seen.positions[j]
        style = 'stroke="#6b7585" stroke-width="2.4" stroke-linecap="round" opacity="0.55"'
        # Behind both of its atoms.
        drawn.append((float(min(a[2], b[2])) - 1e-3, _line(a, b, scale, shift, style)))
    return [element for _, element in sorted(drawn, key=lambda item: item[0])]


def _line(a: Vectors, b: Vectors, scale: float, shift: Vectors, style: str) -> str:
    (x1, y1), (x2, y2) = scale * a[:2] + shift, scale * b[:2] + shift
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'


def _atom(position: Vectors, number: int, scale: float, shift: Vectors) -> str:
    x, y = scale * position[:2] + shift
    radius = scale * drawn_radius(number)
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="url(#el{number})"'
        f' stroke="{element_colour(number, 0.55)}" stroke-width="0.7"><title>{SYMBOLS[number]}</title>'
        "</circle>"
    )


def _gradient(number: int) -> str:
    return (
        f'<radialGradient id="el{number}" cx="0.35" cy="0.3" r="0.75">'
        f'<stop offset="0" stop-color="{element_colour(number, 1.0, 0.65)}"/>'
        f'<stop offset="0.55" stop-color="{element_colour(number, 1.0)}"/>'
        f'<stop offset="1" stop-color="{element_colour(number, 0.68)}"/></radialGradient>'
    )


def drawn_radius(number: int) -> float:
    """Return the radius of an element's atoms in pictures, Angstrom."""
    return float(_ATOM * covalent_radii[number])


def element_colour(number: int, brightness: float = 1.0, white: float = 0.0) -> str:
    """Return an element's colour (Jmol's), darkened and mixed with white, as ``#rrggbb``."""
    rgb = jmol_colors[number] * brightness * (1.0 - white) + white
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in rgb)
