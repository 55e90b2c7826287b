"""Batched relaxation takes each structure where ASE takes it alone, and knows when to give up."""

from __future__ import annotations

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE

from oracle_svc.calculators import open_calculator
from oracle_svc.calculators.base import Calculator, Evaluation
from oracle_svc.relaxation import RelaxSettings, relax
from oracle_svc.status import Status
from tests.unit.oracle_svc.specimens import FCC, hopeless, simple
from xenolith.crystal import Crystal, CrystalBatch

FINE = RelaxSettings(fmax=2e-2)


@pytest.fixture(scope="module")
def emt() -> Calculator:
    return open_calculator("ase", factory="ase.calculators.emt:EMT", id="emt", elements=["Cu", "Au", "Al"])


def rattled(seed: int, strain: float = 0.05) -> Crystal:
    """Cu3Au, shaken and strained."""
    rng = np.random.default_rng(seed)
    sites = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    lattice = 3.75 * np.eye(3) @ (np.eye(3) + strain * rng.normal(size=(3, 3)))
    return Crystal(
        lattice=lattice,
        numbers=np.array([79, 29, 29, 29]),
        frac_coords=sites + 0.02 * rng.normal(size=(4, 3)),
    )


def by_ase(crystal: Crystal, settings: RelaxSettings) -> Atoms:
    atoms = Atoms(crystal.numbers, cell=crystal.lattice, scaled_positions=crystal.frac_coords, pbc=True)
    atoms.calc = EMT()
    FIRE(FrechetCellFilter(atoms), logfile=None).run(fmax=settings.fmax, steps=settings.max_steps)
    return atoms


def test_reaches_the_minimum_that_ase_reaches(emt: Calculator) -> None:
    crystals = [rattled(seed) for seed in range(2)]
    for crystal, relaxed in zip(
        crystals, relax(CrystalBatch.from_crystals(crystals), emt, FINE), strict=True
    ):
        atoms = by_ase(crystal, FINE)
        assert relaxed.status is Status.OK and relaxed.converged and relaxed.crystal is not None
        assert relaxed.energy_per_atom == pytest.approx(atoms.get_potential_energy() / 4, abs=1e-4)
        assert relaxed.volume_ratio == pytest.approx(atoms.get_volume() / crystal.volume, abs=5e-3)
        assert relaxed.max_force is not None and relaxed.max_force < FINE.fmax
        measured = emt.evaluate(CrystalBatch.from_crystals([relaxed.crystal])).energy_per_atom[0]
        assert measured == pytest.approx(relaxed.energy_per_atom, abs=1e-9)


def test_company_changes_nothing(emt: Calculator) -> None:
    crystals = [rattled(0), simple(3.5 * FCC, 29), rattled(1), simple(3.9 * FCC, 13), rattled(2)]
    together = relax(CrystalBatch.from_crystals(crystals), emt, FINE)
    few = relax(CrystalBatch.from_crystals(crystals[::-1]), emt, FINE, atoms_at_once=5)
    for index, crystal in enumerate(crystals):
        (alone,) = relax(CrystalBatch.from_crystals([crystal]), emt, FINE)
        for other in (together[index], few[::-1][index]):
            assert other.steps == alone.steps
            assert other.energy_per_atom == pytest.approx(alone.energy_per_atom, abs=1e-10)


def test_a_fixed_cell_stays(emt: Calculator) -> None:
    crystal = rattled(0)
    (relaxed,) = relax(CrystalBatch.from_crystals([crystal]), emt, RelaxSettings(fmax=1e-3, relax_cell=False))
    assert relaxed.converged and relaxed.crystal is not None
    np.testing.assert_array_equal(relaxed.crystal.lattice, crystal.lattice)
    assert relaxed.volume_ratio == 1.0 and relaxed.rmsd is not None and relaxed.rmsd > 0.01


def test_pressure_is_balanced_by_stress(emt: Calculator) -> None:
    (relaxed,) = relax(
        CrystalBatch.from_crystals([simple(3.6 * FCC, 29)]),
        emt,
        RelaxSettings(fmax=1e-4, pressure_gpa=10.0),
    )
    assert relaxed.converged and relaxed.crystal is not None
    measured = emt.evaluate(CrystalBatch.from_crystals([relaxed.crystal]), with_forces=True)
    assert measured.stress is not None
    np.testing.assert_allclose(measured.stress[0] * 160.21766, -10.0 * np.eye(3), atol=0.01)


def test_the_space_group_is_kept_on_demand(emt: Calculator) -> None:
    lattice = np.diag([3.6, 3.6, 4.1])
    sites = np.array([[0, 0, 0], [0.5, 0.5, 0.47], [0.5, 0, 0.25], [0, 0.5, 0.77]])
    crystal = Crystal(lattice=lattice, numbers=np.array([29, 29, 79, 79]), frac_coords=sites)
    settings = RelaxSettings(fmax=5e-3, fix_symmetry=True)
    (relaxed,) = relax(CrystalBatch.from_crystals([crystal]), emt, settings)
    assert relaxed.crystal is not None and relaxed.steps > 3
    assert operations(relaxed.crystal) >= operations(crystal) > 1


def operations(crystal: Crystal) -> int:
    cell = (crystal.lattice, crystal.frac_coords, crystal.numbers)
    return len(spglib.get_symmetry(cell, symprec=1e-2)["rotations"])


def test_steps_are_limited_and_the_state_reached_is_told(emt: Calculator) -> None:
    crystal = rattled(0)
    (relaxed,) = relax(CrystalBatch.from_crystals([crystal]), emt, RelaxSettings(fmax=1e-6, max_steps=3))
    assert relaxed.status is Status.RELAXATION_FAILED and not relaxed.converged
    assert relaxed.steps == 3 and "not converged after 3 steps" in relaxed.message
    raw = emt.evaluate(CrystalBatch.from_crystals([crystal])).energy_per_atom[0]
    assert relaxed.energy_per_atom is not None and relaxed.energy_per_atom < raw
    assert relaxed.crystal is not None


def test_time_is_limited_and_the_state_reached_is_told(emt: Calculator) -> None:
    (relaxed,) = relax(CrystalBatch.from_crystals([rattled(0)]), emt, FINE, limit_s=0.0)
    assert relaxed.status is Status.TIMEOUT and "longer than 0 s" in relaxed.message
    assert relaxed.energy_per_atom is not None


def test_bad_structures_fail_alone(emt: Calculator) -> None:
    bad = hopeless()
    done = relax(CrystalBatch.from_crystals([rattled(0), *bad.values(), rattled(0)]), emt)
    assert done[0].converged and done[-1].converged
    assert done[0].energy_per_atom == pytest.approx(done[-1].energy_per_atom, abs=1e-9)
    for name, outcome in zip(bad, done[1:-1], strict=True):
        assert outcome.status is not Status.OK, name
        assert outcome.message, name


class Abyss:
    """A calculator whose energy falls without end as the cell shrinks or grows, or that stops half way."""

    id = version = scheme = licence = settings_digest = "abyss"
    elements = frozenset({29})
    embedding_size = 0
    offers_forces = offers_stress = True

    def __init__(self, pull: float, calls: int = 10**9) -> None:
        self._pull = pull
        self._calls = calls

    def evaluate(self, batch: CrystalBatch, *, with_forces: bool = False) -> Evaluation:
        self._calls -= 1
        fine = self._calls >= 0
        return Evaluation(
            energy_per_atom=np.full(len(batch), 0.0 if fine else np.nan),
            embeddings=None,
            statuses=(Status.OK if fine else Status.CALCULATOR_FAILED,) * len(batch),
            messages=("" if fine else "it broke",) * len(batch),
            forces=np.zeros((batch.total_atoms, 3)),
            stress=np.tile(self._pull * np.eye(3), (len(batch), 1, 1)),
        )


@pytest.mark.parametrize(("pull", "said"), [(0.5, "collapsed to"), (-0.5, "grew to")])
def test_a_cell_without_bounds_is_given_up(pull: float, said: str) -> None:
    (relaxed,) = relax(CrystalBatch.from_crystals([simple(3.6 * FCC, 29)]), Abyss(pull))
    assert relaxed.status is Status.RELAXATION_FAILED
    assert said in relaxed.message and relaxed.energy_per_atom is None


def test_a_calculator_that_stops_half_way_ends_the_relaxation() -> None:
    (relaxed,) = relax(CrystalBatch.from_crystals([simple(3.6 * FCC, 29)]), Abyss(0.5, calls=2))
    assert relaxed.status is Status.RELAXATION_FAILED
    assert relaxed.message == "the relaxation was given up after 2 steps: it broke"


def test_what_gives_no_forces_relaxes_nothing() -> None:
    calculator = Abyss(0.5)
    calculator.offers_stress = False
    with pytest.raises(ValueError, match="relax_cell = false"):
        relax(CrystalBatch.from_crystals([simple(3.6 * FCC, 29)]), calculator)


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="fmax"):
        RelaxSettings(fmax=-1.0)
    with pytest.raises(ValueError, match="max_steps"):
        RelaxSettings(max_steps=0)
    assert RelaxSettings(fmax=0.1).digest != RelaxSettings().digest


@pytest.mark.slow
def test_chgnet_relaxes_as_its_own_optimiser(known_crystals: CrystalBatch) -> None:
    """Also `benchmarks/relaxation.py`, on a hundred structures."""
    from chgnet.model import CHGNet, StructOptimizer
    from pymatgen.core import Lattice, Structure

    small = [crystal for crystal in known_crystals if crystal.num_atoms <= 8][:8]
    ours = relax(CrystalBatch.from_crystals(small), open_calculator("chgnet"), RelaxSettings(fmax=0.1))
    model = CHGNet.load(use_device="cpu", verbose=False)
    optimiser = StructOptimizer(model=model, use_device="cpu", on_isolated_atoms="ignore")
    for crystal, relaxed in zip(small, ours, strict=True):
        structure = Structure(Lattice(crystal.lattice), crystal.numbers, crystal.frac_coords)
        path = optimiser.relax(structure, fmax=0.1, steps=500, verbose=False)["trajectory"]
        assert relaxed.converged
        assert relaxed.energy_per_atom == pytest.approx(path.energies[-1] / crystal.num_atoms, abs=5e-3)
