"""Scoring in pieces gives what one call gives, and finished pieces survive what comes after."""

import io
import json

import pytest
from rich.console import Console

from oracle_svc.service.servicer import OracleService
from oracle_svc.service.startup import describe
from xenolith.analysis import score_in_pieces
from xenolith.cli.oracle.scoring import score_with_progress
from xenolith.client import Client
from xenolith.convert import as_items
from xenolith.errors import FailedPreconditionError
from xenolith.serving import ServingSettings, threaded_server

COMPONENTS = ("validity", "stability", "novelty", "uniqueness", "structure_diversity")


@pytest.fixture
def client(make_scorer):
    scorer = make_scorer()
    service = OracleService(scorer, describe(scorer, max_batch=12), threads=2)
    with threaded_server([service], ServingSettings(grace_s=1.0)) as running:  # noqa: SIM117
        with Client.connect(oracle=running.address) as connected:
            yield connected


@pytest.fixture
def members(crystals, tmp_path):
    (tmp_path / "torn.cif").write_text("data_torn\n_cell_length_a ?\n")
    chosen = [crystals[name] for name in ("CaF2", "Si-diamond", "NaCl-rocksalt", "Cu-fcc")]
    return [*chosen, str(tmp_path / "torn.cif"), *chosen[:2]]


def test_pieces_give_what_one_call_gives(client, members):
    whole = client.oracle.score(as_items(members), components=COMPONENTS)
    seen = []
    parts = score_in_pieces(client, members, components=COMPONENTS, piece=3, on_piece=seen.extend)
    assert len(seen) == len(members)
    assert parts.provenance.reference_id == whole.provenance.reference_id
    for a, b in zip(parts, whole, strict=True):
        assert (a.source, a.status, a.message, a.components) == (b.source, b.status, b.message, b.components)
        assert (a.unique, a.duplicate_of, a.novel) == (b.unique, b.duplicate_of, b.novel)
        assert a.energy_per_atom == pytest.approx(b.energy_per_atom, abs=1e-5)
        assert a.structure_diversity == pytest.approx(b.structure_diversity, abs=1e-9)


def test_more_than_the_oracle_compares_is_said(client, members):
    many = [member for member in members if not isinstance(member, str)] * 3
    scores = score_in_pieces(client, many, components=("validity", "uniqueness"), piece=5)
    assert len(scores) == 18
    assert {score.unique for score in scores} == {None}
    assert "uniqueness left out: 18 structures, the oracle compares 12 at once" in scores.warnings


def test_an_interrupt_leaves_what_was_scored(client, members, tmp_path):
    target, said = tmp_path / "out" / "scores.csv", io.StringIO()
    how = {"components": ("validity", "stability"), "settings": {"calculator_id": "no such calculator"}}
    with pytest.raises(FailedPreconditionError, match="no such calculator"):
        score_with_progress(client, as_items(members), how, [target], Console(file=said, width=300))
    assert "scores.csv.partial.jsonl" in said.getvalue()

    class Interrupting(io.StringIO):
        """A terminal at which somebody presses Ctrl-C when he sees the first piece done."""

        def write(self, text):
            if "12/90" in text:
                raise KeyboardInterrupt
            return super().write(text)

    plenty = as_items([member for member in members if not isinstance(member, str)] * 15)
    with pytest.raises(KeyboardInterrupt):
        score_with_progress(
            client, plenty, {"components": ("validity",)}, [target], Console(file=Interrupting())
        )
    lines = (tmp_path / "out" / "scores.csv.partial.jsonl").read_text().splitlines()
    assert len(lines) == 12  # the oracle takes no larger piece
    assert json.loads(lines[0])["formula"] == "CaF2"
