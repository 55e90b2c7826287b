"""An oracle puts energies on its calculator's own hull, whatever reference it compares structures with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from oracle_svc.calculators import open_calculator
from oracle_svc.known.hull import HullEntry, composition_of, reduce_to_vertices
from oracle_svc.known.reference.hull_folder import find_hull, write_hull
from oracle_svc.service.settings import OracleSettings
from oracle_svc.service.startup import open_service
from xenolith.client import Client
from xenolith.crystal import CrystalBatch
from xenolith.errors import FailedPreconditionError
from xenolith.serving import threaded_server

SALT = "NaCl-rocksalt"


@pytest.fixture(scope="module")
def hull(tmp_path_factory, crystals) -> Path:
    """The r2SCAN hull of the textbook's sodium, chlorine and salt."""
    calculator = open_calculator("chgnet-r2scan")
    names = ["Na-fcc", "Cl-fcc", SALT]
    found = calculator.evaluate(CrystalBatch.from_crystals([crystals[name] for name in names]))
    vertices = reduce_to_vertices(
        [
            HullEntry(
                id=name, composition=composition_of(crystals[name].numbers), energy_per_atom=float(energy)
            )
            for name, energy in zip(names, found.energy_per_atom, strict=True)
        ]
    )
    folder = tmp_path_factory.mktemp("hulls") / "chgnet-r2scan"
    write_hull(folder, vertices=vertices, calculator=calculator, name="salt", source={})
    return folder


@pytest.fixture(autouse=True)
def _no_hulls_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("XENOLITH_HULLS", str(tmp_path / "hulls"))


def scored(reference_dir: Path, crystal, **settings: str):
    service = open_service(
        OracleSettings(
            reference=str(reference_dir), cache="none", state="none", audit="none", workers=1, **settings
        )
    )
    try:
        with threaded_server([service]) as running, Client.connect(oracle=running.address) as client:
            return client.oracle.score([crystal])
    finally:
        service.close()


def test_a_hull_that_is_named_serves_beside_a_foreign_reference(reference_dir, crystals, hull):
    scores = scored(reference_dir, crystals[SALT], calculator="chgnet-r2scan", hull=str(hull))
    assert scores[0].status == "OK"
    assert scores[0].e_above_hull == pytest.approx(0.0, abs=1e-6)
    assert scores[0].novel is False and scores[0].nearest_reference == SALT
    assert scores.provenance.hull_id.startswith("chgnet-r2scan-salt-")


def test_one_that_was_built_here_is_found_before_the_one_that_ships(reference_dir, crystals, hull, tmp_path):
    assert find_hull("chgnet-r2scan", {}) is not None  # it ships
    assert find_hull("chgnet-r2scan", {"device": "cpu"}) is None
    shutil.copytree(hull, tmp_path / "hulls" / "chgnet-r2scan")
    scores = scored(reference_dir, crystals[SALT], calculator="chgnet-r2scan")
    assert scores.provenance.hull_id.startswith("chgnet-r2scan-salt-")


def test_the_reference_keeps_its_hull_where_it_is_the_calculators(reference_dir, crystals):
    scores = scored(reference_dir, crystals[SALT])
    assert scores.provenance.hull_id.startswith("chgnet-0.3.0")


@pytest.mark.parametrize("hull_setting", ["none", "any"])
def test_without_a_hull_there_are_energies_alone(reference_dir, crystals, hull_setting):
    scores = scored(
        reference_dir,
        crystals[SALT],
        calculator="chgnet-r2scan",
        calculator_settings=json.dumps({"device": "cpu"}),
        hull=hull_setting,
    )
    assert scores[0].status == "NO_REFERENCE" and "--hull" in scores[0].message
    assert scores[0].energy_per_atom is not None and scores[0].e_above_hull is None


def test_a_hull_of_another_calculator_is_refused(reference_dir, crystals, hull):
    with pytest.raises(FailedPreconditionError, match=r"is of chgnet-r2scan .* not of chgnet-0\.3\.0"):
        scored(reference_dir, crystals[SALT], hull=str(hull))
