"""Audits through the oracle: CHGNet scores, CHGNet-r2SCAN judges on a hull of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oracle_svc.cache import open_cache
from oracle_svc.calculators import open_calculator
from oracle_svc.crystals.validity import ValidityLimits
from oracle_svc.known.build.from_tables import BuildPlan, build_reference
from oracle_svc.known.build.hulls import HullPlan, build_hull
from oracle_svc.known.reference.folder import BadReferenceError, Reference
from oracle_svc.known.reference.hull_folder import read_hull
from oracle_svc.known.reference.write import DataSource
from oracle_svc.pipeline.auditors import Auditor, open_auditors, specs_of
from oracle_svc.pipeline.resources import Resources
from oracle_svc.pipeline.results import Component, ScoreOptions
from oracle_svc.pipeline.scorer import Scorer
from oracle_svc.service.answers import response_of
from oracle_svc.status import Status
from xenolith.analysis import compare, opinions_of
from xenolith.client.results.score_messages import scores_from_proto
from xenolith.convert.items import as_items
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.errors import FailedPreconditionError, InvalidArgumentError

AUDIT = ScoreOptions(
    components=frozenset(
        {
            Component.VALIDITY, Component.STABILITY, Component.NOVELTY, Component.UNIQUENESS, Component.AUDIT,
        }
    )
)  # fmt: skip
FCC = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
YTTERBIUM = Crystal(lattice=np.eye(3) * 5.5, numbers=[70] * 4, frac_coords=FCC)
RUBIDIUM = Crystal(lattice=np.eye(3) * 7.1, numbers=[37] * 4, frac_coords=FCC)
PALLADIUM = Crystal(lattice=np.eye(3) * 3.89, numbers=[46] * 4, frac_coords=FCC)
HACK = Crystal(
    lattice=[[2.981, -0.099, -0.949], [0.255, 3.262, -0.891], [0.572, -0.13, 2.181]],
    numbers=[46, 37, 46],
    frac_coords=[[0.535, 0.751, 0.472], [0.94, 0.147, 0.839], [0.789, 0.118, 0.551]],
)
"""Found among a thousand random cells. Its atoms are 0.77 A apart, which the gate lets pass; r2SCAN puts it
54 eV/atom below its elements, CHGNet 0.3.0 puts it 13 above them."""


@pytest.fixture(scope="module")
def structures(tmp_path_factory, crystals) -> Path:
    """The textbook crystals as a table; all of them are cubic."""
    rows = [
        {
            "material_id": name,
            "lattice": [*[float(crystal.lattice[0, 0])] * 3, 90.0, 90.0, 90.0],
            "numbers": crystal.numbers.tolist(),
            "frac": crystal.frac_coords.ravel().tolist(),
        }
        for name, crystal in {**crystals, "Rb-fcc": RUBIDIUM, "Pd-fcc": PALLADIUM}.items()
    ]
    path = tmp_path_factory.mktemp("structures") / "textbook.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture(scope="module")
def hull(tmp_path_factory, structures, reference_dir) -> Path:
    """The r2SCAN hull of the vertices of CHGNet's hull."""
    folder = tmp_path_factory.mktemp("hull")
    plan = HullPlan(
        structures=(structures,),
        work=folder / "work",
        out=folder / "hull",
        name="textbook",
        vertices_of=reference_dir,
    )
    build_hull(plan, open_calculator("chgnet-r2scan"))
    return folder / "hull"


@pytest.fixture(scope="module")
def auditor(hull) -> Iterator[Auditor]:
    (made,) = open_auditors(json.dumps([{"calculator": "chgnet-r2scan", "hull": str(hull)}]))
    yield made
    made.close()


@pytest.fixture
def oracle(calculators, reference, matcher, auditor, tmp_path) -> Scorer:
    return Scorer(
        Resources(
            calculators=calculators,
            references=[reference],
            cache=open_cache(f"sqlite:///{tmp_path}/cache.db"),
            limits=ValidityLimits(max_atoms=200),
            matcher=matcher,
            auditors=[auditor],
        )
    )


def score(oracle: Scorer, *crystals: Crystal, options: ScoreOptions = AUDIT):
    return oracle.score(CrystalBatch.from_crystals(crystals), options, stop=lambda: False)


def test_an_auditor_has_its_own_energies_and_its_own_hull(oracle, crystals, hull):
    names = ["NaCl-rocksalt", "MgO-rocksalt", "Na-fcc"]
    scored = score(oracle, *[crystals[name] for name in names])
    chgnet = open_calculator("chgnet-r2scan")
    energies = chgnet.evaluate(CrystalBatch.from_crystals(crystals[n] for n in names)).energy_per_atom
    for one, energy in zip(scored.scores, energies, strict=True):
        (audit,) = one.audits
        assert (audit.calculator_id, audit.status) == ("chgnet-r2scan", Status.OK)
        assert audit.energy_per_atom == pytest.approx(energy, abs=1e-4)
        assert abs(audit.energy_per_atom - one.energy_per_atom) > 0.05
        assert audit.e_above_hull == pytest.approx(0.0, abs=1e-4)
        assert audit.hull_id.startswith("chgnet-r2scan-textbook-")
    assert scored.scores[0].audits[0].formation_energy_per_atom < -1.0
    assert scored.scores[2].audits[0].formation_energy_per_atom == pytest.approx(0.0, abs=1e-4)
    again = score(oracle, crystals["MgO-rocksalt"])
    assert again.stats.calculator_calls == 0
    assert again.scores[0].audits == (scored.scores[1].audits)
    assert (
        scored.provenance.settings_digest
        != score(oracle, crystals["Na-fcc"], options=ScoreOptions()).provenance.settings_digest
    )
    assert read_hull(hull).calculator_digest == chgnet.settings_digest


def test_several_judges_are_one_where_all_of_them_place_a_structure(oracle, crystals):
    strained = Crystal(
        lattice=crystals["MgO-rocksalt"].lattice * 1.04,
        numbers=crystals["MgO-rocksalt"].numbers,
        frac_coords=crystals["MgO-rocksalt"].frac_coords,
    )
    first, unknown = score(oracle, strained, YTTERBIUM).scores
    two = [first.e_above_hull, first.audits[0].e_above_hull]
    assert first.committee_e_above_hull == pytest.approx(np.mean(two))
    assert first.committee_spread == pytest.approx(np.std(two, ddof=1)) and first.committee_spread > 0
    assert unknown.committee_e_above_hull is unknown.committee_spread is None
    alone = score(oracle, strained, options=ScoreOptions(components=frozenset({Component.AUDIT})))
    assert alone.scores[0].audits[0].e_above_hull is not None
    assert alone.scores[0].committee_e_above_hull is None


def test_judges_that_are_named_are_part_of_the_scale_without_an_audit_too(oracle):
    named = ScoreOptions(audit_calculator_ids=("chgnet-r2scan",))
    audited = ScoreOptions(components=AUDIT.components, audit_calculator_ids=("chgnet-r2scan",))
    digests = {oracle.provenance(options).settings_digest for options in (named, audited, AUDIT)}
    assert len(digests) == 1
    assert oracle.provenance(ScoreOptions()).settings_digest not in digests
    assert oracle.provenance(named).calculator_scheme == "MP2020-corrected GGA/GGA+U"


def test_what_the_auditor_does_not_cover_fails_its_audit_alone(oracle, crystals):
    scored = score(oracle, YTTERBIUM, crystals["NaCl-rocksalt"])
    assert scored.scores[0].energy_per_atom is not None
    assert scored.scores[0].audits[0].status is Status.UNSUPPORTED_ELEMENT
    assert (
        "chgnet-r2scan: the calculator does not cover Yb"
        in scored.scores[0].outcomes[Component.AUDIT].message
    )
    assert scored.scores[1].outcomes[Component.AUDIT].status is Status.OK


@pytest.fixture(scope="module")
def gullible(tmp_path_factory, structures, auditor, matcher) -> Iterator[Scorer]:
    """An oracle that scores by r2SCAN's weights, audited by CHGNet 0.3.0, both on these crystals' hulls."""
    folder = tmp_path_factory.mktemp("gullible")
    source = DataSource(name="textbook", hull_name="textbook", licence="CC0-1.0", attribution="nobody")
    build_reference(
        BuildPlan(structures=structures, work=folder / "r2scan", out=folder / "reference", source=source),
        open_calculator("chgnet-r2scan"),
    )
    build_hull(
        HullPlan(structures=(structures,), work=folder / "0.3.0", out=folder / "hull", name="textbook"),
        open_calculator("chgnet"),
    )
    auditors = open_auditors(json.dumps([{"calculator": "chgnet", "hull": str(folder / "hull")}]))
    yield Scorer(
        Resources(
            calculators=auditor.pool(),
            references=[Reference.read(folder / "reference")],
            cache=open_cache("none"),
            limits=ValidityLimits(),
            matcher=matcher,
            auditors=auditors,
        )
    )
    auditors[0].close()


def test_a_reward_hack_is_found_out(gullible, crystals):
    """The planted structure looks better than anything known; the other calculator does not believe it."""
    strained = [
        Crystal(lattice=crystal.lattice * 1.03, numbers=crystal.numbers, frac_coords=crystal.frac_coords)
        for crystal in crystals.values()
    ]
    items = as_items([*strained, HACK])
    scored = score(gullible, *[item.crystal for item in items])
    assert scored.scores[-1].valid
    assert scored.scores[-1].novel
    assert scored.scores[-1].e_above_hull < -10
    scores = scores_from_proto(items, response_of(scored, "1"))
    report = compare(
        opinions_of(scores, "chgnet-0.3.0"),
        calculator="chgnet-0.3.0",
        scoring_calculator=scores.provenance.calculator_id,
    )
    assert (report.basis, report.scoring_calculator) == ("hull", "chgnet-r2scan")
    assert report.measured == len(items)
    assert report.spearman is not None
    assert report.spearman > 0.5
    assert report.worst[0].source == str(len(items) - 1)
    assert report.worst[0].flagged
    assert report.worst[0].audited > 0.1
    assert report.surviving["msun"] < report.claims["msun"]


def test_an_auditor_without_a_hull_gives_energies_alone(calculators, reference, matcher, crystals):
    spec = {"calculator": "ase", "settings": {"factory": "ase.calculators.lj:LennardJones", "id": "lj"}}
    auditors = open_auditors(json.dumps([spec]))
    oracle = Scorer(
        Resources(
            calculators=calculators,
            references=[reference],
            cache=open_cache("none"),
            limits=ValidityLimits(),
            matcher=matcher,
            auditors=auditors,
        )
    )
    (audit,) = score(oracle, crystals["NaCl-rocksalt"]).scores[0].audits
    auditors[0].close()
    assert audit.status is Status.OK
    assert audit.energy_per_atom is not None
    assert audit.e_above_hull is None
    assert audit.hull_id == ""


def test_what_cannot_be_asked_is_refused_by_name(oracle, make_scorer, crystals):
    options = ScoreOptions(components=AUDIT.components, audit_calculator_ids=("mace",))
    with pytest.raises(InvalidArgumentError, match="second calculators here are chgnet-r2scan"):
        score(oracle, crystals["Na-fcc"], options=options)
    with pytest.raises(FailedPreconditionError, match="no second calculator"):
        score(make_scorer(), crystals["Na-fcc"])


def test_settings_of_auditors_are_names_or_json(hull, reference_dir, tmp_path):
    assert specs_of("none") == specs_of("") == ()
    assert [spec.calculator for spec in specs_of("chgnet-r2scan, mace")] == ["chgnet-r2scan", "mace"]
    with pytest.raises(ValueError, match="audit"):
        specs_of('[{"calculator": "mace", "hul": "x"}]')
    with pytest.raises(BadReferenceError, match="is no hull"):
        open_auditors(json.dumps([{"calculator": "mace", "hull": str(tmp_path)}]))
    foreign = json.dumps([{"calculator": "chgnet", "hull": str(hull)}])
    (wrong,) = open_auditors(foreign)
    with pytest.raises(FailedPreconditionError, match="build its own hull"):
        wrong.pool()
    assert read_hull(reference_dir).calculator_id == "chgnet-0.3.0"


def test_the_shipped_hull_is_whole_and_of_the_calculator_that_ships():
    from importlib.resources import files

    folder = Path(str(files("oracle_svc"))) / "hulls" / "chgnet-r2scan"
    shipped = read_hull(folder)
    assert shipped.calculator_digest == open_calculator("chgnet-r2scan").settings_digest
    assert len(shipped.hull.elements) > 80
    assert sum(file.stat().st_size for file in folder.iterdir()) < 500_000
