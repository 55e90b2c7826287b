"""One structure on its way to the nearest minimum of its energy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oracle_svc.relaxation.coordinates import Coordinates
from oracle_svc.relaxation.fire import Fire
from oracle_svc.relaxation.settings import GPA, RelaxSettings
from oracle_svc.relaxation.symmetry import Symmetry
from oracle_svc.status import Status
from xenolith.crystal import Crystal

__all__ = ["Relaxed", "Walk"]


@dataclass(frozen=True, kw_only=True)
class Relaxed:
    """How a relaxation ended.

    One that ran out of steps or time has the values of the state that it reached; one that fell apart, or
    whose calculator failed, has none.
    """

    status: Status
    """OK, RELAXATION_FAILED (fell apart, or did not converge), TIMEOUT, or what the calculator said of the
    structure as given."""
    message: str = ""
    """Empty if OK; otherwise what is wrong, in the user's terms."""
    converged: bool = False
    steps: int = 0
    """Moves made."""
    energy_per_atom: float | None = None
    """eV/atom, without the work against the external pressure."""
    max_force: float | None = None
    """Largest force on an atom, eV/Angstrom."""
    rmsd: float | None = None
    """Root mean square displacement of the atoms beside what the cell carried along, Angstrom."""
    volume_ratio: float | None = None
    """Volume over the first volume."""
    crystal: Crystal | None = None
    """The relaxed crystal, atoms in the order given and not wrapped into the cell."""


class Walk:
    """The relaxation of one structure: evaluate `crystal`, tell the result to `advance`, and again.

    Parameters
    ----------
    crystal
        Where it begins; finite, with a volume.
    settings
        What to reach.
    """

    def __init__(self, crystal: Crystal, settings: RelaxSettings) -> None:
        self._settings = settings
        self._steps = 0
        self._begun: _Begun | None = None
        self._reached: Relaxed | None = None
        self.crystal = crystal
        """What to evaluate next."""

    def advance(
        self, energy_per_atom: float, forces: NDArray[np.float64], stress: NDArray[np.float64] | None
    ) -> Relaxed | None:
        """Make one move; returns how the relaxation ended, or None while it goes on.

        Parameters
        ----------
        energy_per_atom, forces, stress
            Of `crystal`: eV/atom, (N, 3) eV/Angstrom, (3, 3) eV/Angstrom^3 (None where the cell is fixed).
        """
        try:
            way = self._begun = self._begun or _Begun.at(self.crystal, self._settings)
        except ValueError as error:
            return self.fail(str(error))
        forces = forces - forces.mean(axis=0)  # a drift of the whole crystal is no physics
        if stress is not None:
            stress = stress + self._settings.pressure_gpa * GPA * np.eye(3)
        if way.symmetry is not None:
            forces = way.symmetry.forces(forces)
            stress = None if stress is None else way.symmetry.stress(stress)
        force = way.coordinates.force(forces, stress)
        largest = float(np.linalg.norm(forces, axis=1).max())
        strongest = max(largest, float(np.linalg.norm(force.reshape(-1, 3), axis=1).max()))
        reached = self._reached = Relaxed(
            status=Status.OK,
            converged=strongest < self._settings.fmax,
            steps=self._steps,
            energy_per_atom=energy_per_atom,
            max_force=largest,
            rmsd=way.coordinates.rmsd,
            volume_ratio=way.coordinates.volume_ratio,
            crystal=self.crystal,
        )
        if reached.converged:
            return reached
        if self._steps == self._settings.max_steps:
            text = (
                f"not converged after {self._steps} steps: a force of {strongest:.3g} eV/A is left, above "
                f"{self._settings.fmax:g}"
            )
            return replace(reached, status=Status.RELAXATION_FAILED, message=text)
        way.coordinates.move(way.fire.move(force))
        self._steps += 1
        problem = _problem(way.coordinates, self._settings)
        if problem is not None:
            return self.fail(problem)
        self.crystal = way.coordinates.crystal
        return None

    def fail(self, reason: str) -> Relaxed:
        """The outcome of a relaxation that cannot go on."""
        text = f"the relaxation was given up after {self._steps} steps: {reason}"
        return Relaxed(status=Status.RELAXATION_FAILED, message=text, steps=self._steps)

    def refuse(self, status: Status, message: str) -> Relaxed:
        """The outcome where the calculator gave nothing: on the first structure, its own word."""
        if self._reached is None:
            return Relaxed(status=status, message=message)
        if status is Status.TIMEOUT:
            return replace(self._reached, status=status, message=message)
        return self.fail(message)

    def time_out(self, limit_s: float) -> Relaxed:
        """The outcome when the time is up, with the values of the last state that was evaluated."""
        text = f"the relaxation took longer than {limit_s:g} s, {self._steps} steps"
        reached = self._reached or Relaxed(status=Status.TIMEOUT)
        return replace(reached, status=Status.TIMEOUT, message=text)


@dataclass(frozen=True, kw_only=True)
class _Begun:
    """State of a walk from its first evaluation on, when the structure is known to be sane."""

    coordinates: Coordinates
    fire: Fire
    symmetry: Symmetry | None

    @classmethod
    def at(cls, crystal: Crystal, settings: RelaxSettings) -> _Begun:
        coordinates = Coordinates(crystal, relax_cell=settings.relax_cell)
        symmetry = Symmetry(crystal) if settings.fix_symmetry else None
        return cls(coordinates=coordinates, fire=Fire(coordinates.size), symmetry=symmetry)


def _problem(coordinates: Coordinates, settings: RelaxSettings) -> str | None:
    """Why the state just reached is no crystal any more."""
    ratio, rmsd = coordinates.volume_ratio, coordinates.rmsd
    if not np.isfinite([ratio, rmsd]).all():
        return "its coordinates are no longer finite"
    if not settings.min_volume_ratio <= ratio <= settings.max_volume_ratio:
        verb = "collapsed" if ratio < 1 else "grew"
        return f"the cell {verb} to {ratio:.3g} of its first volume"
    if rmsd > settings.max_rmsd:
        return f"its atoms moved by {rmsd:.3g} A, more than {settings.max_rmsd:g}"
    return None
