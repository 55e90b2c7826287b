"""Hull energies are pymatgen's; vertices lie on the hull; a missing element concerns its structure alone."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from oracle_svc import hull as module
from oracle_svc.hull import Hull, HullEntry, composition_of, reduce_to_vertices
from oracle_svc.status import Status
from tests.unit.oracle_svc.crystals import diamond, salt
from xenolith.crystal import CrystalBatch
from xenolith.elements import SYMBOLS


def entry(counts: dict[int, int], formation: float, name: str = "") -> HullEntry:
    """A phase whose elements have the energy -Z / 10 eV/atom."""
    total = sum(counts.values())
    energy = sum(-z / 10 * n for z, n in counts.items()) / total + formation
    composition = composition_of(np.repeat(list(counts), list(counts.values())))
    return HullEntry(id=name or str(counts), composition=composition, energy_per_atom=energy)


def random_entries(rng: np.random.Generator, elements: list[int], size: int) -> list[HullEntry]:
    entries = [entry({z: 1}, 0.0) for z in elements]
    while len(entries) < size:
        members = rng.choice(elements, rng.integers(1, len(elements) + 1), replace=False)
        counts = {int(z): int(rng.integers(1, 5)) for z in members}
        entries.append(entry(counts, float(rng.normal(-0.4 if len(counts) > 1 else 0.5, 0.3))))
    return [e for e in entries if len(e.composition) > 1 or e.energy_per_atom >= -e.system[0] / 10]


def of_pymatgen(entries: list[HullEntry], wanted: HullEntry) -> float:
    def converted(e: HullEntry) -> PDEntry:
        composition = Composition({SYMBOLS[z]: n for z, n in e.composition})
        return PDEntry(composition, e.energy_per_atom * composition.num_atoms)

    return float(PhaseDiagram([converted(e) for e in entries]).get_e_above_hull(converted(wanted)))


def numbers_of(e: HullEntry) -> np.ndarray:
    return np.repeat([z for z, _ in e.composition], [n for _, n in e.composition])


@pytest.mark.parametrize("size", [2, 3, 4, 5])
@pytest.mark.parametrize("facets", [True, False], ids=["facets", "program"])
def test_agrees_with_pymatgen(monkeypatch: pytest.MonkeyPatch, size: int, facets: bool) -> None:
    monkeypatch.setattr(module, "_FACETS_UP_TO", 7 if facets else 1)
    rng = np.random.default_rng(size)
    entries = random_entries(rng, [3, 8, 15, 26, 25][:size], 60)
    hull = Hull(entries)
    for wanted in entries[size::7]:
        assert hull.place(numbers_of(wanted), wanted.energy_per_atom)[0] == pytest.approx(
            of_pymatgen(entries, wanted), abs=1e-6
        )


@pytest.mark.parametrize("facets", [True, False], ids=["facets", "program"])
def test_vertices_alone_make_the_same_hull(monkeypatch: pytest.MonkeyPatch, facets: bool) -> None:
    monkeypatch.setattr(module, "_FACETS_UP_TO", 7 if facets else 1)
    entries = random_entries(np.random.default_rng(0), [3, 8, 15, 26], 150)
    vertices = reduce_to_vertices(entries)
    full, small = Hull(entries), Hull(vertices)
    assert 4 < len(vertices) < 100
    for wanted in entries:
        expected = full.place(numbers_of(wanted), wanted.energy_per_atom)[0]
        assert expected >= -1e-6
        assert small.place(numbers_of(wanted), wanted.energy_per_atom)[0] == pytest.approx(expected, abs=1e-6)
    for vertex in vertices:
        assert small.place(numbers_of(vertex), vertex.energy_per_atom)[0] == pytest.approx(0, abs=1e-6)


def test_hull_distances_by_hand() -> None:
    hull = Hull([entry({11: 1}, 0), entry({17: 1}, 0), entry({11: 1, 17: 1}, -1.0)])
    above, formation = hull.place(np.array([11, 11, 11, 17]), entry({11: 3, 17: 1}, -0.2).energy_per_atom)
    assert (above, formation) == (pytest.approx(0.3), pytest.approx(-0.2))
    below, _ = hull.place(np.array([11, 17]), entry({11: 1, 17: 1}, -1.25).energy_per_atom)
    assert below == pytest.approx(-0.25)


def test_a_missing_element_concerns_its_structure_alone() -> None:
    hull = Hull([entry({11: 1}, 0), entry({17: 1}, 0), entry({11: 1, 17: 1}, -1.0)])
    batch = CrystalBatch.from_crystals([salt(), diamond(), salt()])
    result = hull.evaluate(batch, np.array([-1.4, -5.0, np.nan]))
    assert result.statuses == (Status.OK, Status.NO_REFERENCE, Status.SKIPPED)
    assert result.messages[1] == "the hull has no elemental reference for Si"
    assert np.isfinite(result.e_above_hull).tolist() == [True, False, False]


def test_many_elements_at_once() -> None:
    elements = list(range(1, 90))
    pairs = [entry({z: 1, z + 1: 1}, -0.5) for z in elements[:-1]]
    hull = Hull([entry({z: 1}, 0) for z in elements] + pairs)
    energy = entry(dict.fromkeys(elements, 1), 0.0).energy_per_atom
    above, formation = hull.place(np.array(elements), energy)
    # 44 of the 89 elements pair up with a neighbour, one stays alone.
    assert (above, formation) == (pytest.approx(0.5 * 88 / 89), pytest.approx(0, abs=1e-9))


def test_compounds_of_an_uncovered_element_cannot_make_a_hull() -> None:
    with pytest.raises(ValueError, match="pure element for Cl"):
        reduce_to_vertices([entry({11: 1}, 0), entry({11: 1, 17: 1}, -1.0)])


def test_duplicates_keep_the_lowest() -> None:
    entries = [entry({11: 1}, 0.2, "high"), entry({11: 1}, 0.0, "low")]
    assert [e.id for e in reduce_to_vertices(entries)] == ["low"]


def test_compositions_are_reduced() -> None:
    assert composition_of(np.array([17, 11, 11, 17])) == ((11, 1), (17, 1))
