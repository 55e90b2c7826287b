"""The hull of one chemical system: its energy and its phases at every composition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle_svc.known.hull import geometry
from oracle_svc.known.hull.entries import HullEntry, Phase, System

__all__ = ["Surface", "surface_of"]

_ALIKE = 1e-9  # eV/atom: facets that meet at a composition differ there by rounding alone
_ABSENT = 1e-9  # share of a phase that is rounding alone


@dataclass(frozen=True, kw_only=True)
class Surface:
    """Formation energy of the hull as a function of composition."""

    ids: tuple[str, ...]
    """(M,) of the phases."""
    formulas: tuple[str, ...]
    """(M,)."""
    points: NDArray[np.float64]
    """(M, d) float64 atomic fractions."""
    energies: NDArray[np.float64]
    """(M,) float64 formation energies, eV/atom, none positive."""
    references: NDArray[np.float64]
    """(d,) float64 energies of the elements, eV/atom."""
    facets: NDArray[np.int32] | None
    """(F, d) int32 phases at the corners of each facet; None where linear programming is used."""
    planes: NDArray[np.float64] | None
    """(F, d) float64 chemical potentials of each facet, likewise."""

    def energy(self, fractions: NDArray[np.float64]) -> float:
        """Formation energy of the hull, eV/atom, at fractions (d,)."""
        if self.planes is not None:
            return float((self.planes @ fractions).max())
        return geometry.mixture(self.points, self.energies, fractions)[0]

    def phases(self, fractions: NDArray[np.float64]) -> tuple[Phase, ...]:
        """The most stable mixture at fractions (d,), the largest share first."""
        if self.planes is None or self.facets is None:
            shares = geometry.mixture(self.points, self.energies, fractions)[1]
            corners = np.arange(len(shares), dtype=np.int32)
        else:
            corners, shares = self._corners(fractions, self.planes, self.facets)
        present = [(c, s) for c, s in zip(corners.tolist(), shares.tolist(), strict=True) if s > _ABSENT]
        total = sum(share for _, share in present)
        found = [Phase(id=self.ids[c], formula=self.formulas[c], fraction=s / total) for c, s in present]
        # Rounded, so that equal shares stand in one order wherever they were computed.
        return tuple(sorted(found, key=lambda phase: (-round(phase.fraction, 9), phase.id)))

    def _corners(
        self, fractions: NDArray[np.float64], planes: NDArray[np.float64], facets: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Corners (d,) of the facet above which the composition lies, and their shares."""
        values = planes @ fractions
        near = np.flatnonzero(values >= values.max() - _ALIKE)
        rows = facets[near]
        shares = np.linalg.solve(self.points[rows].transpose(0, 2, 1), fractions[None, :, None])[..., 0]
        best = int(shares.min(axis=1).argmax())
        return rows[best], shares[best]

    def to_record(self) -> dict[str, Any]:
        """Arrays and JSON values, for `codec.encode`."""
        record: dict[str, Any] = {
            "ids": list(self.ids),
            "formulas": list(self.formulas),
            "points": self.points,
            "energies": self.energies,
            "references": self.references,
        }
        if self.facets is not None and self.planes is not None:
            record |= {"facets": self.facets, "planes": self.planes}
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any], size: int) -> Surface:
        """The surface of a record of `to_record`.

        Raises
        ------
        ValueError
            It is none of a system of `size` elements.
        """
        try:
            surface = cls(
                ids=tuple(record["ids"]),
                formulas=tuple(record["formulas"]),
                points=record["points"],
                energies=record["energies"],
                references=record["references"],
                facets=record.get("facets"),
                planes=record.get("planes"),
            )
            count = len(surface.ids)
            fits = surface.points.shape == (count, size) and surface.energies.shape == (count,)
            fits = fits and surface.references.shape == (size,) and len(surface.formulas) == count
            if surface.facets is not None and surface.planes is not None:
                fits = fits and surface.facets.shape == surface.planes.shape and len(surface.facets) > 0
                fits = fits and surface.facets.shape[1] == size
                fits = fits and int(surface.facets.min()) >= 0 and int(surface.facets.max()) < count
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"no hull of {size} elements: {error!r}") from error
        if not fits:
            raise ValueError(f"no hull of {size} elements: its arrays do not fit together")
        return surface


def surface_of(system: System, phases: Sequence[HullEntry], references: Mapping[int, HullEntry]) -> Surface:
    """Compute the hull of a system.

    Parameters
    ----------
    phases
        Phases in the system and its parts.
    references
        The lowest phase of each element.
    """
    levels = {z: references[z].energy_per_atom for z in system}
    points, energies, kept = geometry.points_of(system, phases, levels)
    members = [references[z] for z in system] + [phases[index] for index in kept]
    facets = planes = None
    if len(system) <= geometry.FACETS_UP_TO:
        used, numbered = np.unique(geometry.lower_facets(points, energies), return_inverse=True)
        facets = numbered.reshape(-1, len(system)).astype(np.int32)
        members, points, energies = [members[i] for i in used], points[used], energies[used]
        planes = geometry.planes_of(points, energies, facets)
    return Surface(
        ids=tuple(entry.id for entry in members),
        formulas=tuple(entry.formula for entry in members),
        points=points,
        energies=energies,
        references=np.array([levels[z] for z in system]),
        facets=facets,
        planes=planes,
    )
