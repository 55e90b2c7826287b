"""An oracle with several references: which one answers, what keeps its structures, hulls that are shared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from oracle_svc.cache import open_cache
from oracle_svc.calculators import open_calculator
from oracle_svc.crystals.elmd import cumulative, elmd
from oracle_svc.crystals.validity import ValidityLimits
from oracle_svc.known.build.from_files import FilesPlan, build_from_files
from oracle_svc.known.hull import HullEntry, composition_of
from oracle_svc.known.novelty.matcher import MatcherOptions, PairMatcher
from oracle_svc.known.reference.folder import Reference
from oracle_svc.known.reference.write import DataSource, write_reference
from oracle_svc.pipeline.resources import Resources
from oracle_svc.pipeline.results import Component, ScoreOptions
from oracle_svc.pipeline.scorer import Scorer
from oracle_svc.pools.calculator_pool import CalculatorPool
from oracle_svc.status import Status
from xenolith.convert import write_extxyz
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.errors import FailedPreconditionError

JUDGED = frozenset({Component.VALIDITY, Component.NOVELTY, Component.CONTINUOUS})


def never() -> bool:
    return False


def hanging(seed: int) -> Crystal:
    """A needle of a cell, on which pymatgen's search for lattices has no end in sight."""
    lattice = np.array([[0.1, 0.0, 0.0], [0.05, 60.0, 0.0], [0.03, 0.1, 60.0]])
    frac = np.random.default_rng(seed).random((40, 3))
    return Crystal(lattice=lattice, numbers=[11] * 20 + [17] * 20, frac_coords=frac)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, crystals: dict[str, Crystal]) -> Reference:
    """A reference of three structures, which keeps them, and has no hull."""
    root = tmp_path_factory.mktemp("own")
    write_extxyz(root / "mine.extxyz", [crystals[n] for n in ("NaCl-rocksalt", "SrTiO3", "MgO-rocksalt")])
    source = DataSource(name="own", hull_name="own", licence="", attribution="")
    plan = FilesPlan(paths=(root / "mine.extxyz",), out=root / "out", work=root / "work", source=source)
    build_from_files(plan, None)
    return Reference.read(plan.out)


@pytest.fixture
def scorer(make_scorer: Callable[..., Scorer], reference: Reference, own: Reference) -> Scorer:
    """An oracle of the textbook reference, and of the own one on request."""
    return make_scorer(references=[reference, own])


def test_a_request_chooses_its_reference(
    scorer: Scorer, own: Reference, crystals: dict[str, Crystal]
) -> None:
    batch = CrystalBatch.from_crystals([crystals["NaCl-rocksalt"], crystals["KCl-rocksalt"]])
    default = scorer.score(batch, ScoreOptions(), stop=never)
    assert [score.novel for score in default.scores] == [False, False]
    assert default.scores[0].e_above_hull == pytest.approx(0, abs=1e-5)
    assert [phase.formula for phase in default.scores[0].decomposition] == ["NaCl"]
    chosen = scorer.score(batch, ScoreOptions(reference_id=own.id), stop=never)
    assert [score.novel for score in chosen.scores] == [False, True]
    assert chosen.scores[0].nearest_reference == "mine.extxyz#0"
    assert chosen.scores[0].energy_per_atom == pytest.approx(default.scores[0].energy_per_atom, abs=1e-6)
    assert chosen.scores[0].outcomes[Component.STABILITY].status is Status.NO_REFERENCE
    assert default.provenance.reference_id != chosen.provenance.reference_id == own.id
    assert default.provenance.settings_digest != chosen.provenance.settings_digest
    with pytest.raises(FailedPreconditionError, match=rf"textbook-\w+ or {own.id}, not nobodys"):
        scorer.score(batch, ScoreOptions(reference_id="nobodys"), stop=never)


def test_structure_matcher_judges_novelty_where_structures_are_kept(
    scorer: Scorer, own: Reference, crystals: dict[str, Crystal], redescribe: Callable[..., Crystal]
) -> None:
    salt = crystals["NaCl-rocksalt"]
    # The matcher scales volumes: to it a swollen crystal is the same, to AMD it is not.
    swollen = Crystal(lattice=salt.lattice * 1.2, numbers=salt.numbers, frac_coords=salt.frac_coords)
    caesium = Crystal(lattice=3.5 * np.eye(3), numbers=[11, 17], frac_coords=[[0.0] * 3, [0.5] * 3])
    batch = CrystalBatch.from_crystals(
        [redescribe(salt, np.random.default_rng(0)), swollen, caesium, crystals["LiF-rocksalt"]]
    )
    by_amd = scorer.score(batch, ScoreOptions(components=JUDGED, reference_id=own.id), stop=never)
    options = ScoreOptions(components=JUDGED, reference_id=own.id, matcher=MatcherOptions())
    by_matcher = scorer.score(batch, options, stop=never)
    assert [score.novel for score in by_amd.scores] == [False, True, True, True]
    assert [score.novel for score in by_matcher.scores] == [False, False, True, True]
    assert by_matcher.scores[1].amd_distance == by_amd.scores[1].amd_distance
    refused = ScoreOptions(components=JUDGED, matcher=MatcherOptions())
    with pytest.raises(FailedPreconditionError, match="xenolith reference build"):
        scorer.score(batch, refused, stop=never)


@pytest.fixture
def lenient(calculators: CalculatorPool, tmp_path: Path) -> Iterator[Scorer]:
    """An oracle whose gate lets anything pass and whose reference holds a cell on which pymatgen hangs."""
    write_extxyz(tmp_path / "known.extxyz", [hanging(1)])
    source = DataSource(name="hopeless", hull_name="hopeless", licence="", attribution="")
    plan = FilesPlan(
        paths=(tmp_path / "known.extxyz",), out=tmp_path / "out", work=tmp_path / "work", source=source
    )
    build_from_files(plan, None)
    matcher = PairMatcher(workers=1, pair_limit_s=3.0)
    yield Scorer(
        Resources(
            calculators=calculators,
            references=[Reference.read(plan.out)],
            cache=open_cache("none"),
            limits=ValidityLimits(
                min_distance=1e-6, min_volume_per_atom=1e-6, max_density=1e9, max_cell_condition=1e9
            ),
            matcher=matcher,
        )
    )
    matcher.close()


def test_a_pair_on_which_pymatgen_hangs_is_undecided_and_costs_no_other(
    lenient: Scorer, crystals: dict[str, Crystal]
) -> None:
    batch = CrystalBatch.from_crystals([hanging(2), crystals["LiF-rocksalt"]])
    options = ScoreOptions(
        components=frozenset({Component.VALIDITY, Component.NOVELTY}), matcher=MatcherOptions()
    )
    scored = lenient.score(batch, options, stop=never)
    stuck, fine = scored.scores
    assert stuck.valid, stuck.outcomes
    outcome = stuck.outcomes[Component.NOVELTY]
    assert (outcome.status, stuck.novel) == (Status.TIMEOUT, None)
    assert outcome.message == "StructureMatcher did not finish in time against the known known.extxyz"
    assert (fine.novel, fine.outcomes[Component.NOVELTY].status) == (True, Status.OK)


def test_graded_values_and_the_nearest_composition(
    scorer: Scorer, own: Reference, crystals: dict[str, Crystal]
) -> None:
    names = ["NaCl-rocksalt", "KCl-rocksalt", "SrTiO3"]
    batch = CrystalBatch.from_crystals([crystals[name] for name in names])
    options = ScoreOptions(components=JUDGED, reference_id=own.id)
    scores = scorer.score(batch, options, stop=never).scores
    totals = [cumulative(crystals[name].numbers) for name in names]
    assert totals[0] is not None and totals[1] is not None
    assert [score.elmd_distance for score in scores] == [0.0, pytest.approx(elmd(totals[0], totals[1])), 0.0]
    assert scores[0].continuous_novelty == pytest.approx(0, abs=1e-3)
    assert scores[1].continuous_novelty is not None and 0.2 < scores[1].continuous_novelty < 0.8
    order = [2, 0, 1]
    again = scorer.score(batch.take(order), options, stop=never).scores
    for place, index in enumerate(order):
        assert again[place].continuous_uniqueness == scores[index].continuous_uniqueness
        assert again[place].continuous_novelty == scores[index].continuous_novelty


def test_replicas_share_hulls_through_the_cache(
    make_scorer: Callable[..., Scorer],
    reference_dir: Path,
    crystals: dict[str, Crystal],
    tmp_path: Path,
) -> None:
    made = []
    for _ in range(2):
        shared = Reference.read(reference_dir)
        replica = make_scorer(f"sqlite:///{tmp_path}/cache.db", references=[shared])
        batch = CrystalBatch.from_crystals([crystals["SrTiO3"], crystals["NaCl-rocksalt"]])
        scored = replica.score(batch, ScoreOptions(), stop=never)
        assert scored.scores[0].e_above_hull == pytest.approx(0, abs=1e-5)
        assert shared.hull is not None
        made.append(shared.hull.diagrams.made)
    assert made == [2, 0]


def test_a_hull_of_another_calculator_is_refused_by_both_names(
    make_scorer: Callable[..., Scorer], reference_dir: Path, crystals: dict[str, Crystal]
) -> None:
    batch = CrystalBatch.from_crystals([crystals["NaCl-rocksalt"]])
    foreign = Reference.read(reference_dir)
    foreign.info["calculator"] = {
        "id": "mace-x",
        "version": "1",
        "scheme": "r2SCAN",
        "settings_digest": "f" * 64,
    }
    scorer = make_scorer(references=[foreign])
    with pytest.raises(
        FailedPreconditionError, match=r"mace-x, scheme 'r2SCAN'.*chgnet-0\.3\.0, scheme 'MP2020"
    ):
        scorer.score(batch, ScoreOptions(), stop=never)
    # An imported hull serves whatever calculator declares its scheme.
    foreign = Reference.read(reference_dir)
    identity = scorer.resources.calculators.identity
    foreign.info["calculator"] = {"id": "db", "version": "", "scheme": identity.scheme, "settings_digest": ""}
    foreign.info["hull"]["imported"] = True
    scored = make_scorer(references=[foreign]).score(batch, ScoreOptions(), stop=never)
    assert scored.scores[0].e_above_hull == pytest.approx(0, abs=1e-5)


def test_a_reference_that_is_a_hull_alone_serves_stability_and_knows_nothing(
    make_scorer: Callable[..., Scorer], crystals: dict[str, Crystal], tmp_path: Path
) -> None:
    calculator = open_calculator("chgnet")
    names = ("Na-fcc", "Cl-fcc", "NaCl-rocksalt")
    batch = CrystalBatch.from_crystals([crystals[name] for name in names])
    energies = calculator.evaluate(batch).energy_per_atom
    write_reference(
        tmp_path / "hull",
        known=None,
        vertices=[
            HullEntry(id=name, composition=composition_of(crystal.numbers), energy_per_atom=float(energy))
            for name, crystal, energy in zip(names, batch, energies, strict=True)
        ],
        num_entries=len(names),
        calculator=calculator,
        source=DataSource(name="salt", hull_name="salt", licence="", attribution=""),
        settings={"amd_tolerance": 0.05},
    )
    reference = Reference.read(tmp_path / "hull")
    scored = make_scorer(references=[reference]).score(batch, ScoreOptions(), stop=never)
    assert (len(reference), scored.provenance.hull_id) == (0, reference.hull_id)
    for score in scored.scores:
        assert score.outcomes[Component.STABILITY].status is Status.OK
        assert score.e_above_hull == pytest.approx(0.0, abs=1e-4)
        assert score.unique
        assert score.outcomes[Component.NOVELTY].status is Status.NO_REFERENCE
        assert score.novel is None
    diversity = frozenset(
        {Component.STRUCTURE_DIVERSITY, Component.COMPOSITION_DIVERSITY, Component.CONTINUOUS}
    )
    scored = make_scorer(references=[reference]).score(batch, ScoreOptions(components=diversity), stop=never)
    for score in scored.scores:
        assert {score.outcomes[component].status for component in diversity} == {Status.NO_REFERENCE}
