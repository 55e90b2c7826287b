"""``xenolith audit`` against a small oracle of its own, over real gRPC."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xenolith.cli import main
from xenolith.contract.wire import batch_from_proto
from xenolith.convert.cif import write_cif
from xenolith.crystal import Crystal
from xenolith.serving import threaded_server
from xenolith.v1 import oracle_pb2, oracle_pb2_grpc


class TwoMinds(oracle_pb2_grpc.OracleServiceServicer):
    """Likes large cells; its auditor agrees, but for chlorine, of which it thinks nothing."""

    async def Describe(self, request: Any, context: Any) -> Any:
        return oracle_pb2.OracleServiceDescribeResponse(
            max_batch=100,
            calculators=[oracle_pb2.CalculatorInfo(id="first")],
            audit_calculators=[oracle_pb2.CalculatorInfo(id="second")],
        )

    async def Score(self, request: Any, context: Any) -> Any:
        assert request.settings.audit_calculator_ids == ["second"]
        scores = []
        for crystal in batch_from_proto(request.crystals):
            above = 10.0 / crystal.volume
            score = oracle_pb2.StructureScore(
                status=1, formula=crystal.formula, valid=True, unique=True, novel=True,
                energy_per_atom=above - 3.0, e_above_hull=above,
            )  # fmt: skip
            opinion = above + (2.0 if 17 in crystal.numbers else 0.01)
            if oracle_pb2.COMPONENT_AUDIT in request.components:
                score.audits.add(
                    calculator_id="second", status=1, energy_per_atom=opinion, e_above_hull=opinion
                )
            scores.append(score)
        return oracle_pb2.ScoreResponse(
            scores=scores, provenance=oracle_pb2.ScoreProvenance(calculator_id="first")
        )


@pytest.fixture
def oracle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XENOLITH_ORACLE", raising=False)
    (tmp_path / "cifs").mkdir()
    for row, other in enumerate([9, 35, 53, 8, 16, 17]):
        crystal = Crystal(
            lattice=np.eye(3) * (4.5 + 0.2 * row), numbers=[11, other], frac_coords=[[0, 0, 0], [0.5] * 3]
        )
        write_cif(crystal, tmp_path / "cifs" / f"{row}.cif")
    with threaded_server([TwoMinds()]) as running:
        yield str(running.address)


def test_it_says_what_survives_and_what_does_not(oracle: str, capsys: Any) -> None:
    command = ["audit", "cifs", "--calculator", "second", "--oracle", oracle]
    assert main([*command, "--json", "out/a.json", "--html", "out/a.html"]) == 0
    found = json.loads(Path("out/a.json").read_text())
    assert (found["calculator"], found["scoring_calculator"], found["basis"]) == ("second", "first", "hull")
    assert (found["structures"], found["measured"], found["flagged"]) == (6, 6, 1)
    assert found["worst"][0]["formula"] == "NaCl"
    assert found["claims"]["msun"] - found["surviving"]["msun"] >= 1
    assert Path("out/a.html").read_text().count("<circle") == 6
    shown = capsys.readouterr().out
    assert "first audited by second, each above its own hull" in shown
    assert "flagged as artefacts" in shown
    assert main([*command, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == found


def test_files_may_be_named_by_their_absolute_paths(oracle: str) -> None:
    folder = str(Path("cifs").resolve())
    assert main(["audit", folder, "--calculator", "second", "--oracle", oracle]) == 0


def test_a_run_is_audited_by_its_candidates(oracle: str, capsys: Any) -> None:
    folder = Path("runs") / "mine"
    folder.mkdir(parents=True)
    head = '2\nLattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3 pbc="T T T"\n'
    frame = head + "Na 0 0 0\nBr 2.5 2.5 2.5\n"
    (folder / "candidates.extxyz").write_text(frame * 2)
    assert main(["audit", "mine", "--calculator", "second", "--oracle", oracle]) == 0
    assert "2 of 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["cifs", "--calculator", "third"], "second calculators are second, not third"),
        (["nothing", "--calculator", "second"], "nothing is no file or folder"),
    ],
)
def test_what_cannot_be_audited_is_said(oracle: str, arguments: list[str], text: str, capsys: Any) -> None:
    assert main(["audit", *arguments, "--oracle", oracle]) == 1
    assert text in capsys.readouterr().err


def test_scores_of_files_carry_the_opinions_that_were_asked_for(
    oracle: str, tmp_path: Path, capsys: Any
) -> None:
    assert main(["score", "cifs", "--oracle", oracle, "--audit", "second", "--json", "scores.json"]) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert [audit["calculator_id"] for score in scores for audit in score["audits"]] == ["second"] * 6
    assert "second" in capsys.readouterr().out
