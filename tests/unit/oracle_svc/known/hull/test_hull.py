"""Hull energies are pymatgen's; vertices lie on the hull; a missing element concerns its structure alone."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from oracle_svc.cache import open_cache
from oracle_svc.codec import encode
from oracle_svc.known.hull import (
    Hull,
    HullEntry,
    MixedSchemesError,
    composition_of,
    covered,
    geometry,
    reduce_to_vertices,
)
from oracle_svc.known.hull.diagrams import Diagrams
from oracle_svc.known.hull.surface import Surface
from oracle_svc.status import Status
from tests.unit.oracle_svc.specimens import diamond, salt
from xenolith.crystal import Crystal, CrystalBatch
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


def converted(e: HullEntry) -> PDEntry:
    composition = Composition({SYMBOLS[z]: n for z, n in e.composition})
    return PDEntry(composition, e.energy_per_atom * composition.num_atoms, name=e.id)


def of_pymatgen(entries: list[HullEntry], wanted: HullEntry) -> float:
    return float(PhaseDiagram([converted(e) for e in entries]).get_e_above_hull(converted(wanted)))


def numbers_of(e: HullEntry) -> np.ndarray:
    return np.repeat([z for z, _ in e.composition], [n for _, n in e.composition])


@pytest.mark.parametrize("size", [2, 3, 4, 5])
@pytest.mark.parametrize("facets", [True, False], ids=["facets", "program"])
def test_agrees_with_pymatgen(monkeypatch: pytest.MonkeyPatch, size: int, facets: bool) -> None:
    monkeypatch.setattr(geometry, "FACETS_UP_TO", 7 if facets else 1)
    rng = np.random.default_rng(size)
    entries = random_entries(rng, [3, 8, 15, 26, 25][:size], 60)
    hull = Hull(entries)
    for wanted in entries[size::7]:
        assert hull.place(numbers_of(wanted), wanted.energy_per_atom).above_hull == pytest.approx(
            of_pymatgen(entries, wanted), abs=1e-6
        )


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("facets", [True, False], ids=["facets", "program"])
def test_decompositions_are_pymatgens(monkeypatch: pytest.MonkeyPatch, size: int, facets: bool) -> None:
    monkeypatch.setattr(geometry, "FACETS_UP_TO", 7 if facets else 1)
    rng = np.random.default_rng(10 + size)
    elements = [3, 8, 15, 26][:size]
    entries = random_entries(rng, elements, 40)
    hull, diagram = Hull(entries), PhaseDiagram([converted(e) for e in entries])
    for _ in range(20):
        counts = dict(zip(elements, rng.integers(1, 9, size).tolist(), strict=True))
        expected = diagram.get_decomposition(Composition({SYMBOLS[z]: n for z, n in counts.items()}))
        found = hull.place(np.repeat(list(counts), list(counts.values())), 0.0).decomposition
        shares = {phase.id: pytest.approx(phase.fraction, abs=1e-7) for phase in found}
        assert shares == {phase.name: share for phase, share in expected.items()}


@pytest.mark.parametrize("facets", [True, False], ids=["facets", "program"])
def test_vertices_alone_make_the_same_hull(monkeypatch: pytest.MonkeyPatch, facets: bool) -> None:
    monkeypatch.setattr(geometry, "FACETS_UP_TO", 7 if facets else 1)
    entries = random_entries(np.random.default_rng(0), [3, 8, 15, 26], 150)
    vertices = reduce_to_vertices(entries)
    full, small = Hull(entries), Hull(vertices)
    assert 4 < len(vertices) < 100
    for wanted in entries:
        expected = full.place(numbers_of(wanted), wanted.energy_per_atom).above_hull
        assert expected >= -1e-6
        assert small.place(numbers_of(wanted), wanted.energy_per_atom).above_hull == pytest.approx(
            expected, abs=1e-6
        )
    for vertex in vertices:
        assert small.place(numbers_of(vertex), vertex.energy_per_atom).above_hull == pytest.approx(
            0, abs=1e-6
        )


def test_hull_distances_by_hand() -> None:
    hull = Hull([entry({11: 1}, 0), entry({17: 1}, 0), entry({11: 1, 17: 1}, -1.0)])
    placed = hull.place(np.array([11, 11, 11, 17]), entry({11: 3, 17: 1}, -0.2).energy_per_atom)
    assert (placed.above_hull, placed.formation_energy) == (pytest.approx(0.3), pytest.approx(-0.2))
    shares = {phase.formula: phase.fraction for phase in placed.decomposition}
    assert shares == {"Na": pytest.approx(0.5), "NaCl": pytest.approx(0.5)}
    below = hull.place(np.array([11, 17]), entry({11: 1, 17: 1}, -1.25).energy_per_atom)
    assert below.above_hull == pytest.approx(-0.25)
    assert [(phase.formula, phase.fraction) for phase in below.decomposition] == [("NaCl", 1.0)]


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
    placed = hull.place(np.array(elements), energy)
    # 44 of the 89 elements pair up with a neighbour, one stays alone.
    assert placed.above_hull == pytest.approx(0.5 * 88 / 89)
    assert placed.formation_energy == pytest.approx(0, abs=1e-9)
    assert sum(phase.fraction for phase in placed.decomposition) == pytest.approx(1)


def test_compounds_of_an_uncovered_element_cannot_make_a_hull() -> None:
    with pytest.raises(ValueError, match="pure element for Cl"):
        reduce_to_vertices([entry({11: 1}, 0), entry({11: 1, 17: 1}, -1.0)])


def test_duplicates_keep_the_lowest() -> None:
    entries = [entry({11: 1}, 0.2, "high"), entry({11: 1}, 0.0, "low")]
    assert [e.id for e in reduce_to_vertices(entries)] == ["low"]


def test_compositions_are_reduced() -> None:
    assert composition_of(np.array([17, 11, 11, 17])) == ((11, 1), (17, 1))


def test_energies_of_two_schemes_make_no_hull() -> None:
    sodium = entry({11: 1}, 0.0, "mp-1")
    mixed = [
        HullEntry(id=e.id, composition=e.composition, energy_per_atom=e.energy_per_atom, scheme=scheme)
        for e, scheme in ((sodium, "chgnet-0.3.0"), (entry({17: 1}, 0.0, "mp-2"), "mace-mpa-0"))
    ]
    for make in (Hull, reduce_to_vertices):
        with pytest.raises(MixedSchemesError, match=r"'chgnet-0\.3\.0' and mp-2 one of 'mace-mpa-0'"):
            make(mixed)
    assert Hull(mixed[:1]).scheme == "chgnet-0.3.0"


def test_compounds_of_uncovered_elements_can_be_left_out() -> None:
    entries = [entry({11: 1}, 0), entry({11: 1, 17: 1}, -1.0), entry({11: 2, 17: 1}, -1.0)]
    kept, missing = covered(entries)
    assert [e.system for e in kept] == [(11,)]
    assert missing == {17: 2}


@pytest.mark.parametrize("facets", [True, False], ids=["facets", "program"])
def test_a_second_replica_builds_no_hull_again(monkeypatch: pytest.MonkeyPatch, facets: bool) -> None:
    monkeypatch.setattr(geometry, "FACETS_UP_TO", 7 if facets else 1)
    entries = random_entries(np.random.default_rng(4), [3, 8, 15, 26], 80)
    cache = open_cache("sqlite:///:memory:")
    alone, first, second, other = (Hull(entries) for _ in range(4))
    first.share(cache, "a" * 64)
    second.share(cache, "a" * 64)
    other.share(cache, "b" * 64)
    batch = CrystalBatch.from_crystals([salt_of(e) for e in entries])
    energies = np.array([e.energy_per_atom for e in entries])
    expected = alone.evaluate(batch, energies)
    for hull, made in ((first, True), (second, False), (other, True)):
        result = hull.evaluate(batch, energies)
        np.testing.assert_array_equal(result.e_above_hull, expected.e_above_hull)
        assert result.decompositions == expected.decompositions
        compounds = {e.system for e in entries if len(e.system) > 1}
        assert (hull.diagrams.made >= len(compounds)) is made
    cache.close()


def test_a_damaged_hull_in_the_cache_is_made_again() -> None:
    entries = [entry({11: 1}, 0), entry({17: 1}, 0), entry({11: 1, 17: 1}, -1.0)]
    cache = open_cache("sqlite:///:memory:")
    hull = Hull(entries)
    hull.share(cache, "a" * 64)
    assert hull.diagrams.shared is not None
    key = hull.diagrams.shared.key((11, 17))
    smaller = encode(Hull(entries).diagrams.get((11,)).to_record())
    for planted in (b"nonsense", smaller, encode({"ids": 3})):
        cache.set_many({key: planted})
        fresh = Hull(entries)
        fresh.share(cache, "a" * 64)
        placed = fresh.place(np.array([11, 17]), entry({11: 1, 17: 1}, 0.0).energy_per_atom)
        assert placed.above_hull == pytest.approx(1.0)
    cache.close()


def test_memory_of_hulls_is_bounded() -> None:
    made: list[tuple[int, ...]] = []
    hull = Hull([entry({z: 1}, 0) for z in range(1, 30)])

    def make(system: tuple[int, ...]) -> Surface:
        made.append(system)
        return hull.diagrams.get(system)

    diagrams = Diagrams(make, kept=3)
    for z in (1, 2, 3, 1, 4, 1, 2):
        diagrams.get((z,))
    assert len(diagrams) == 3
    assert made == [(1,), (2,), (3,), (4,), (2,)]


def salt_of(e: HullEntry) -> Crystal:
    """Atoms of an entry, anywhere."""
    numbers = numbers_of(e)
    return Crystal(lattice=9 * np.eye(3), numbers=numbers, frac_coords=np.zeros((len(numbers), 3)))
