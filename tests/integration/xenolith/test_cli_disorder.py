"""``xenolith disorder`` against an oracle whose crystals are an Ising model, over real gRPC."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xenolith.analysis.disorder.parent import BOLTZMANN
from xenolith.cli import main
from xenolith.contract.wire import batch_from_proto
from xenolith.convert.cif import write_cif
from xenolith.crystal import Crystal
from xenolith.serving import threaded_server
from xenolith.v1 import oracle_pb2, oracle_pb2_grpc

_IMAGES = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
_GAIN = {29: 0.08, 28: 0.4}
"""eV/atom that a crystal of zinc with these gains if all neighbours are unlike."""


class Ising(oracle_pb2_grpc.OracleServiceServicer):
    """Energy follows from the share of unlike nearest neighbours; relaxing changes nothing."""

    async def Describe(self, request: Any, context: Any) -> Any:
        return oracle_pb2.OracleServiceDescribeResponse(
            max_batch=100, calculators=[oracle_pb2.CalculatorInfo(id="ising")]
        )

    async def Score(self, request: Any, context: Any) -> Any:
        scores = []
        for crystal in batch_from_proto(request.crystals):
            gain = max(_GAIN.get(number, 0.0) for number in crystal.numbers.tolist())
            energy = -gain * _unlike(crystal)
            score = oracle_pb2.StructureScore(
                status=1, formula=crystal.formula, valid=True, energy_per_atom=energy
            )
            if request.settings.HasField("relax"):
                score.relaxation.status, score.relaxation.converged = 1, True
                score.relaxation.energy_per_atom = energy
                score.relaxation.e_above_hull = energy + gain
            scores.append(score)
        return oracle_pb2.ScoreResponse(scores=scores)


def _unlike(crystal: Crystal) -> float:
    shifted = crystal.frac_coords[None, :, None] - crystal.frac_coords[:, None, None]
    apart = (shifted - np.round(shifted) + _IMAGES) @ crystal.lattice
    distance = np.linalg.norm(apart, axis=-1)
    distance[distance < 0.1] = np.inf
    left, right, _ = np.nonzero(distance < distance.min() * 1.05)
    return float((crystal.numbers[left] != crystal.numbers[right]).mean())


def _caesium_chloride(first: int, second: int) -> Crystal:
    return Crystal(lattice=np.eye(3) * 2.95, numbers=[first, second], frac_coords=[[0] * 3, [0.5] * 3])


@pytest.fixture
def oracle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XENOLITH_ORACLE", raising=False)
    (tmp_path / "cifs").mkdir()
    for name, pair in {"brass": (29, 30), "strong": (28, 30), "salt": (11, 17)}.items():
        write_cif(_caesium_chloride(*pair), tmp_path / "cifs" / f"{name}.cif")
    with threaded_server([Ising()]) as running:
        yield str(running.address)


def test_order_is_lost_where_its_energy_equals_the_entropy_of_mixing(oracle: str, capsys: Any) -> None:
    assert main(["disorder", "cifs", "--out", "found", "--oracle", oracle, "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    brass, strong = found["results"]
    # Half of the neighbours of a random crystal are unlike.
    expected = 0.08 / 2 / (BOLTZMANN * math.log(2))
    assert brass["ordering_temperature"] == pytest.approx(expected, rel=0.05)
    assert brass["mixing_temperature"] == pytest.approx(expected, rel=0.05)
    assert strong["ordering_temperature"] == pytest.approx(5 * expected, rel=0.05)
    assert (brass["disordered"], strong["disordered"]) == (True, False)
    assert brass["lowest_energy"] == pytest.approx(brass["given_energy"]) == pytest.approx(-0.08)
    assert (brass["ordered_space_group"], brass["parent_space_group"]) == ("Pm-3m (221)", "Im-3m (229)")
    assert list(found["others"].values()) == ["no elements whose sites become equivalent"]
    assert found["provenance"]["calculator_id"] == "ising"


def test_a_table_and_an_occupancy_cif_are_written_for_each(oracle: str, capsys: Any) -> None:
    command = ["disorder", "cifs", "--out", "found", "--oracle", oracle, "--temperature", "400"]
    assert main(command) == 0
    rows = list(csv.DictReader(Path("found/disorder.csv").read_text().splitlines()))
    assert [row["disordered"] for row in rows] == ["False", "False"]
    cif = Path("found", rows[0]["occupancy_cif"]).read_text()
    assert "Im-3m" in cif
    assert cif.count(" 0.5") >= 2
    assert "0 of 3 flagged at 400 K; 1 have nothing to mix" in capsys.readouterr().out


def test_of_a_run_only_the_lowest_are_tested_where_a_number_is_given(oracle: str, capsys: Any) -> None:
    head = (
        '2\nLattice="2.95 0 0 0 2.95 0 0 0 2.95" Properties=species:S:1:pos:R:3 e_above_hull={} pbc="T T T"\n'
    )
    frames = [head.format(0.5) + "Ni 0 0 0\nZn 1.475 1.475 1.475\n"]
    frames.append(head.format(0.1) + "Cu 0 0 0\nZn 1.475 1.475 1.475\n")
    Path("runs/mine").mkdir(parents=True)
    Path("runs/mine/candidates.extxyz").write_text("".join(frames))
    assert main(["disorder", "mine", "-n", "1", "--out", "found", "--oracle", oracle]) == 0
    assert "1 of 1 flagged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--temperature", "0"], "--temperature is 0 K"),
        (["-n", "0"], "--count is 0"),
        (["--out", "cifs"], "cifs is there already"),
    ],
)
def test_bad_wishes_are_refused(oracle: str, arguments: list[str], text: str, capsys: Any) -> None:
    assert main(["disorder", "cifs", "--out", "found", *arguments, "--oracle", oracle]) == 1
    assert text in capsys.readouterr().err
