"""``xenolith candidates`` against a small oracle of its own, over real gRPC."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xenolith.analysis.candidates.prototype import prototype_of
from xenolith.cli import main
from xenolith.contract.wire import batch_from_proto, batch_to_proto
from xenolith.convert import read_cif, read_path
from xenolith.convert.cif import write_cif
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.elements import atomic_number
from xenolith.serving import threaded_server
from xenolith.v1 import oracle_pb2, oracle_pb2_grpc

_ENERGY = {"NaF": 0.01, "NaCl": 0.02, "NaBr": 0.03, "NaI": 0.04, "KF": 0.05, "K": 0.0, "KI": 0.3}


class TwoJudges(oracle_pb2_grpc.OracleServiceServicer):
    """Has an opinion for each formula; relaxing makes cells cubic; its auditor does not like bromine.

    Knows NaF under the name mp-1, which StructureMatcher alone recognises, and what it is given as known.
    """

    async def Describe(self, request: Any, context: Any) -> Any:
        return oracle_pb2.OracleServiceDescribeResponse(
            max_batch=100,
            calculators=[oracle_pb2.CalculatorInfo(id="first")],
            audit_calculators=[oracle_pb2.CalculatorInfo(id="second")],
            references=[oracle_pb2.ReferenceInfo(id="small", num_structures=1, has_structures=True)],
        )

    async def Score(self, request: Any, context: Any) -> Any:
        matcher = request.settings.sameness.metric == oracle_pb2.SAMENESS_METRIC_STRUCTURE_MATCHER
        own = [crystal.formula for crystal in batch_from_proto(request.known)]
        scores = []
        for crystal in batch_from_proto(request.crystals):
            formula = crystal.formula
            above = _ENERGY.get(formula, 0.06)
            known = f"known:{own.index(formula)}" if formula in own else "mp-1" if formula == "NaF" else ""
            score = oracle_pb2.StructureScore(
                status=1, formula=formula, valid=True, unique=True, charge_neutral=True, e_above_hull=above,
                energy_per_atom=above - 3.0, nearest_reference=known, novel=not known or not (matcher or own),
            )  # fmt: skip
            if oracle_pb2.COMPONENT_AUDIT in request.components:
                opinion = above + (0.5 if 35 in crystal.numbers else 0.001)
                score.audits.add(calculator_id="second", status=1, e_above_hull=opinion, hull_id="h2")
            if request.settings.HasField("relax"):
                side = crystal.volume ** (1 / 3)
                after = Crystal(
                    lattice=np.eye(3) * side, numbers=crystal.numbers, frac_coords=crystal.frac_coords
                )
                score.relaxation.status, score.relaxation.converged = 1, formula != "KF"
                score.relaxation.crystal.CopyFrom(batch_to_proto(CrystalBatch.from_crystals([after])))
            scores.append(score)
        return oracle_pb2.ScoreResponse(
            scores=scores, provenance=oracle_pb2.ScoreProvenance(calculator_id="first", hull_id="h1")
        )


def _rock_salt(cation: str, anion: str, side: float, stretch: float = 1.0) -> Crystal:
    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    return Crystal(
        lattice=np.diag([side, side, side * stretch]),
        numbers=[atomic_number(cation)] * 4 + [atomic_number(anion)] * 4,
        frac_coords=np.concatenate([corners, corners + 0.5]),
    )


@pytest.fixture
def oracle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XENOLITH_ORACLE", raising=False)
    (tmp_path / "cifs").mkdir()
    pairs = [("Na", "F"), ("Na", "Cl"), ("Na", "Br"), ("Na", "I"), ("K", "F"), ("K", "I"), ("Mg", "Po")]
    for cation, anion in [*pairs, ("Fe", "O")]:
        write_cif(_rock_salt(cation, anion, 5.6, 1.01), tmp_path / "cifs" / f"{cation}{anion}.cif")
    with threaded_server([TwoJudges()]) as running:
        yield str(running.address)


def _reasons(folder: str) -> dict[str, str]:
    rows = csv.DictReader(Path(folder, "rejected.csv").read_text().splitlines())
    return {Path(row["source"]).stem: row["reason"] for row in rows}


def test_what_every_judge_puts_low_and_nobody_knows_is_chosen(oracle: str, capsys: Any) -> None:
    command = ["candidates", "cifs", "--out", "found", "--oracle", oracle]
    assert main([*command, "--per-prototype", "9", "--element-share", "1"]) == 0
    document = json.loads(Path("found/candidates.json").read_text())
    assert [row["formula"] for row in document["candidates"]] == ["NaCl", "NaI", "FeO"]
    assert document["candidates"][0]["ranked_by"] == pytest.approx(0.021)
    reasons = _reasons("found")
    assert reasons["NaF"] == "known once relaxed, by StructureMatcher: mp-1 of small"
    assert "0.530 eV/atom above the hull, says second" in reasons["NaBr"]
    assert "0.300 eV/atom above the hull, says first" in reasons["KI"]
    assert "did not converge" in reasons["KF"]
    assert reasons["MgPo"] == "holds Po"
    assert "3 chosen of 8" in capsys.readouterr().out


def test_every_column_names_its_source(oracle: str) -> None:
    assert main(["candidates", "cifs", "--out", "found", "--oracle", oracle]) == 0
    header = Path("found/candidates.csv").read_text().splitlines()[0].split(",")
    sources = {r["column"]: r for r in csv.DictReader(Path("found/columns.csv").read_text().splitlines())}
    assert list(sources) == header
    assert all(row["source"] and row["made_by"] for row in sources.values())
    assert "hull h1" in sources["relaxed.e_above_hull"]["made_by"]
    assert sources["audits.second.e_above_hull"]["made_by"] == "second, hull h2"
    assert sources["small.amd_distance"]["unit"] == "Angstrom"
    assert Path("found/index.html").read_text().count("<figure>") == 1


def test_one_of_each_prototype_is_chosen(oracle: str) -> None:
    assert main(["candidates", "cifs", "--out", "found", "--oracle", oracle]) == 0
    assert [path.name for path in Path("found/structures").iterdir()] == ["01-NaCl.cif"]
    assert "prototype AB_cF8_225_a_b is there already" in _reasons("found")["NaI"]


def test_no_element_fills_the_choice(oracle: str) -> None:
    command = ["candidates", "cifs", "--out", "found", "--oracle", oracle, "--per-prototype", "9"]
    assert main([*command, "-n", "2", "--element-share", "0.5"]) == 0
    assert _reasons("found")["NaI"] == "Na is in 1 already, lower"
    assert {path.name for path in Path("found/structures").iterdir()} == {"01-NaCl.cif", "02-FeO.cif"}


def test_the_users_own_crystals_are_known_by_their_files(oracle: str) -> None:
    Path("mine").mkdir()
    write_cif(_rock_salt("Na", "Cl", 5.5), "mine/salt.cif")
    command = ["candidates", "cifs", "--out", "found", "--oracle", oracle, "--known", "mine"]
    assert main(command) == 0
    assert "mine/salt.cif" in _reasons("found")["NaCl"]


def test_inputs_are_ready_and_hold_the_relaxed_crystal(oracle: str) -> None:
    from ase.io.espresso import read_espresso_in, read_fortran_namelist
    from pymatgen.io.vasp import Incar, Kpoints

    command = ["candidates", "cifs", "--out", "found", "--oracle", oracle, "--per-prototype", "9"]
    assert main([*command, "--element-share", "1"]) == 0
    relaxed = read_cif("found/inputs/03-FeO/structure.cif")[0]
    assert relaxed.lattice == pytest.approx(np.eye(3) * relaxed.volume ** (1 / 3))
    vasp = Path("found/inputs/03-FeO/vasp")
    assert {path.name for path in vasp.iterdir()} == {"INCAR", "KPOINTS", "POSCAR", "POTCAR.spec"}
    poscar = read_path(vasp / "POSCAR")[0].crystal
    assert poscar is not None
    assert (poscar.numbers == relaxed.numbers).all()
    assert poscar.frac_coords == pytest.approx(relaxed.frac_coords, abs=1e-9)
    assert Incar.from_file(vasp / "INCAR")["MAGMOM"] == [5.0] * 4 + [0.6] * 4
    assert Kpoints.from_file(vasp / "KPOINTS").kpts
    with Path("found/inputs/03-FeO/espresso/pw.in").open() as stream:
        espresso, _ = read_fortran_namelist(stream)
        assert espresso["control"]["calculation"] == "vc-relax"
        assert (espresso["system"]["nspin"], espresso["system"]["starting_magnetization(1)"]) == (2, 0.5)
        stream.seek(0)
        assert read_espresso_in(stream).cell.array == pytest.approx(relaxed.lattice, abs=1e-8)
    gpaw = Path("found/inputs/03-FeO/gpaw_relax.py").read_text()
    compile(gpaw, "gpaw_relax.py", "exec")
    assert "[5.0, 5.0, 5.0, 5.0, 0.6, 0.6, 0.6, 0.6]" in gpaw
    assert "moments = None" in Path("found/inputs/01-NaCl/gpaw_relax.py").read_text()
    flow = Path("found/inputs/atomate2_flow.py").read_text()
    compile(flow, "atomate2_flow.py", "exec")
    assert "'03-FeO'" in flow


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--avoid", "Xx"], "--avoid: 'Xx' is no symbol"),
        (["--element-share", "0"], "--element-share is 0"),
        (["--out", "cifs"], "cifs is there already"),
    ],
)
def test_bad_wishes_are_refused_before_anything_is_computed(
    oracle: str, arguments: list[str], text: str, capsys: Any
) -> None:
    assert main(["candidates", "cifs", "--out", "found", *arguments, "--oracle", oracle]) == 1
    assert text in capsys.readouterr().err
    assert not Path("found").exists()


def test_a_prototype_does_not_depend_on_the_names_of_elements() -> None:
    def fluorite(metal: str, anion: str) -> Crystal:
        cell = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]) * 5.4
        numbers = [atomic_number(metal), atomic_number(anion), atomic_number(anion)]
        return Crystal(lattice=cell, numbers=numbers, frac_coords=[[0] * 3, [0.25] * 3, [0.75] * 3])

    assert prototype_of(fluorite("Ca", "F")) == prototype_of(fluorite("Zr", "O"))
    assert prototype_of(_rock_salt("Mg", "O", 4.2)) == ("Fm-3m (225)", "AB_cF8_225_a_b")
    assert prototype_of(_rock_salt("Cl", "Na", 5.6)) == prototype_of(_rock_salt("Na", "Cl", 5.6))
