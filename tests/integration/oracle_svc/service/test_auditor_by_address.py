"""An oracle audits by another oracle at an address: CHGNet scores, CHGNet-r2SCAN judges over the contract."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from oracle_svc.calculators import open_calculator
from oracle_svc.known.hull import HullEntry, composition_of, reduce_to_vertices
from oracle_svc.known.reference.hull_folder import write_hull
from oracle_svc.pipeline.auditors import open_auditors, specs_of
from oracle_svc.pipeline.remote_auditor import RemoteAuditorSpec
from oracle_svc.service.settings import OracleSettings
from oracle_svc.service.startup import open_service
from xenolith.client import Client
from xenolith.conformance import CHECKS, Lab, LabSettings, run_checks, select
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.errors import FailedPreconditionError, InvalidArgumentError, UnavailableError
from xenolith.serving import ServingSettings, threaded_server

FCC = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
YTTERBIUM = Crystal(lattice=np.eye(3) * 5.5, numbers=[70] * 4, frac_coords=FCC)
SALT = "NaCl-rocksalt"
WITH_AUDIT = {"components": ["stability", "audit"]}


@pytest.fixture(scope="module")
def hull(tmp_path_factory, crystals) -> Path:
    """The r2SCAN hull of the textbook's crystals."""
    calculator = open_calculator("chgnet-r2scan")
    found = calculator.evaluate(CrystalBatch.from_crystals(crystals.values()))
    entries = [
        HullEntry(id=name, composition=composition_of(crystal.numbers), energy_per_atom=float(energy))
        for (name, crystal), energy in zip(crystals.items(), found.energy_per_atom, strict=True)
    ]
    folder = tmp_path_factory.mktemp("hulls") / "chgnet-r2scan"
    write_hull(
        folder, vertices=reduce_to_vertices(entries), calculator=calculator, name="textbook", source={}
    )
    return folder


@contextmanager
def oracle_of(reference_dir: Path, *, port: int = 0, **settings: str) -> Iterator[str]:
    """A real oracle; gives its address."""
    service = open_service(
        OracleSettings(
            reference=str(reference_dir),
            state="none",
            workers=1,
            properties="none",
            **{"cache": "sqlite:///:memory:", "audit": "none", **settings},
        )
    )
    try:
        with threaded_server([service], ServingSettings(port=port, grace_s=0.1)) as running:
            yield running.address
    finally:
        service.close()


@pytest.fixture(scope="module")
def judge(reference_dir, hull) -> Iterator[str]:
    """The other oracle."""
    with oracle_of(reference_dir, calculator="chgnet-r2scan", hull=str(hull)) as address:
        yield address


@pytest.fixture(scope="module")
def audited(reference_dir, judge) -> Iterator[str]:
    """The oracle that names it."""
    with oracle_of(reference_dir, audit=judge) as address:
        yield address


def test_its_opinion_is_what_the_other_oracle_measures(audited, judge, crystals):
    given = [crystals[SALT], crystals["MgO-rocksalt"], crystals[SALT]]
    with Client.connect(oracle=audited) as client:
        (told,) = client.oracle.describe().audit_calculators
        scores = client.oracle.score(given, **WITH_AUDIT)
    with Client.connect(oracle=judge) as client:
        theirs = client.oracle.score(given, components=["stability"])
        (calculator,) = client.oracle.describe().calculators
    assert (told.id, told.version, told.scheme) == (calculator.id, calculator.version, calculator.scheme)
    for score, expected in zip(scores, theirs, strict=True):
        (opinion,) = score.audits
        assert (opinion.calculator_id, opinion.status) == ("chgnet-r2scan", "OK")
        assert opinion.energy_per_atom == pytest.approx(expected.energy_per_atom, abs=1e-5)
        assert opinion.e_above_hull == pytest.approx(expected.e_above_hull, abs=1e-5)
        assert opinion.formation_energy_per_atom == pytest.approx(
            expected.formation_energy_per_atom, abs=1e-5
        )
        assert opinion.hull_id == theirs.provenance.hull_id
        assert abs(opinion.energy_per_atom - score.energy_per_atom) > 0.05


def test_its_answers_are_kept_there(audited, judge, crystals):
    with Client.connect(oracle=audited) as client:
        client.oracle.score([crystals["GaAs-zincblende"]], **WITH_AUDIT)
        again = client.oracle.score([crystals["GaAs-zincblende"]], **WITH_AUDIT)
    assert again.calculator_calls == 0
    with Client.connect(oracle=judge) as client:
        assert client.oracle.score([crystals["GaAs-zincblende"]], components=["stability"]).cache_hits == 1


def test_what_it_is_asked_belongs_to_the_call_that_wants_the_audit(audited, crystals, spans):
    with Client.connect(oracle=audited, run_id="mine") as client:
        client.oracle.score([crystals[SALT]], **WITH_AUDIT)
    judge, scorer = (span for span in spans.get_finished_spans() if span.kind.name == "SERVER")
    assert judge.context.trace_id == scorer.context.trace_id
    for name in ("xenolith.request_id", "xenolith.run_id"):
        assert judge.attributes[name] == scorer.attributes[name]
    assert judge.attributes["xenolith.run_id"] == "mine"


def test_what_it_does_not_cover_fails_its_audit_alone(audited, crystals):
    with Client.connect(oracle=audited) as client:
        scores = client.oracle.score([crystals[SALT], YTTERBIUM], components=["validity", "audit"])
    assert scores[0].status == "OK"
    assert scores[1].audits[0].status == "UNSUPPORTED_ELEMENT"
    assert scores[1].message.startswith("structure 1: chgnet-r2scan: ")
    assert "structure 0" not in scores[1].message and scores[1].message.count("structure 1") == 1


def test_an_oracle_that_audits_by_another_keeps_the_contract(audited):
    with Lab(LabSettings(target=audited)) as lab:
        report = run_checks(lab, select(CHECKS, ("describe", "provenance", "scores", "forces")))
    assert [f"{r.check.name}: {r.reason}" for r in report.results if r.outcome == "failed"] == []
    assert any(str(r.check) == "forces.audit" and r.outcome == "passed" for r in report.results)


def test_one_that_fell_silent_or_came_back_as_another_is_never_passed_over(reference_dir, hull, crystals):
    r2scan = {"calculator": "chgnet-r2scan", "hull": str(hull)}
    with oracle_of(reference_dir, **r2scan) as first:
        port = int(first.rpartition(":")[2])
        spec = json.dumps([{"address": first}])
        stack = oracle_of(reference_dir, audit=spec, cache="none")
        address = stack.__enter__()
    try:
        with Client.connect(oracle=address) as client:
            silent = client.oracle.score([crystals[SALT]], **WITH_AUDIT)[0]
            assert silent.e_above_hull is not None
            assert silent.audits[0].status == "CALCULATOR_FAILED"
            assert f"no answer from {first}" in silent.audits[0].message
            assert silent.components["AUDIT"] == "CALCULATOR_FAILED"
            with (
                oracle_of(reference_dir, port=port),
                pytest.raises(FailedPreconditionError, match="no longer the auditor that it was"),
            ):
                client.oracle.score([crystals[SALT]], **WITH_AUDIT)
            with oracle_of(reference_dir, port=port, **r2scan):
                assert client.oracle.score([crystals[SALT]], **WITH_AUDIT)[0].audits[0].status == "OK"
    finally:
        stack.__exit__(None, None, None)


def test_what_cannot_judge_is_refused_at_the_start(reference_dir, audited):
    nowhere = json.dumps([{"address": "127.0.0.1:1", "wait_s": 0}])
    with (
        pytest.raises(UnavailableError, match=r"nothing answers at 127\.0\.0\.1:1"),
        oracle_of(reference_dir, audit=nowhere),
    ):
        pass
    with (
        oracle_of(reference_dir, hull="none") as bare,
        pytest.raises(FailedPreconditionError, match="has no hull"),
        oracle_of(reference_dir, audit=bare),
    ):
        pass
    with (
        pytest.raises(FailedPreconditionError, match="what this oracle scores with"),
        oracle_of(reference_dir, audit=audited),
    ):
        pass
    with (
        threaded_server([], ServingSettings(grace_s=0.1)) as other,
        pytest.raises(FailedPreconditionError, match="is no oracle"),
        oracle_of(reference_dir, audit=other.address),
    ):
        pass


def test_names_and_addresses_stand_side_by_side():
    named, address = specs_of("mace, judge:50052")
    assert (named.calculator, address.address) == ("mace", "judge:50052")
    (told,) = specs_of('[{"address": "judge:50052", "tls": true}]')
    assert told == RemoteAuditorSpec(address="judge:50052", tls=True)
    with pytest.raises(ValueError, match="audit"):
        specs_of('[{"address": "judge:50052", "hull": "x"}]')
    with pytest.raises(InvalidArgumentError, match="tls_cert and tls_key go together"):
        open_auditors('[{"address": "judge:50052", "tls_cert": "judge.pem"}]')
    for name in ("token_file", "tls_ca"):
        with pytest.raises(InvalidArgumentError, match=f"audit: {name}: nowhere cannot be read"):
            open_auditors(json.dumps([{"address": "judge:50052", name: "nowhere"}]))
    with pytest.raises(InvalidArgumentError, match="no port"):
        open_auditors('[{"address": "judge"}]')
