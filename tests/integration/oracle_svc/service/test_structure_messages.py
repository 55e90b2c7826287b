"""Messages about two structures name both by the numbers of whoever reads them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from oracle_svc.cache import open_cache
from oracle_svc.crystals.validity import ValidityLimits
from oracle_svc.known.novelty.matcher import PairMatcher
from oracle_svc.pipeline.resources import Resources
from oracle_svc.pipeline.scorer import Scorer
from oracle_svc.service.servicer import OracleService
from oracle_svc.service.startup import describe
from xenolith.analysis import score_in_pieces
from xenolith.cli.oracle.scores_table import show_scores
from xenolith.client import Client
from xenolith.convert import Item, as_items
from xenolith.crystal import Crystal
from xenolith.errors import ReadError
from xenolith.serving import ServingSettings, threaded_server

BY_MATCHER = {"sameness": {"metric": "SAMENESS_METRIC_STRUCTURE_MATCHER"}}
JUDGED = ("validity", "uniqueness")
UNREADABLE = Item(source="torn.cif", problem=ReadError("torn.cif: holds no crystal"))


def hanging(seed: int) -> Crystal:
    """A needle of a cell, on which pymatgen's search for lattices has no end in sight."""
    lattice = np.array([[0.1, 0.0, 0.0], [0.05, 60.0, 0.0], [0.03, 0.1, 60.0]])
    frac = np.random.default_rng(seed).random((40, 3))
    return Crystal(lattice=lattice, numbers=[11] * 20 + [17] * 20, frac_coords=frac)


@pytest.fixture
def client(calculators):
    """An oracle whose gate lets anything pass."""
    anything = ValidityLimits(
        min_distance=1e-6, min_volume_per_atom=1e-6, max_density=1e9, max_cell_condition=1e9
    )
    matcher = PairMatcher(workers=1, pair_limit_s=1.0)
    scorer = Scorer(
        Resources(
            calculators=calculators,
            cache=open_cache("none"),
            limits=anything,
            matcher=matcher,
        )
    )
    service = OracleService(scorer, describe(scorer, max_batch=12), threads=2)
    with (
        threaded_server([service], ServingSettings(grace_s=1.0)) as running,
        Client.connect(oracle=running.address) as connected,
    ):
        yield connected
    matcher.close()


def undecided(index: int, other: int) -> str:
    return f"structure {index}: StructureMatcher did not finish in time against structure {other}"


def test_a_pair_without_a_verdict_is_named_as_its_caller_counts(client, crystals):
    members = [hanging(1), UNREADABLE, crystals["LiF-rocksalt"], hanging(2)]
    scores = client.oracle.score(as_items(members), components=JUDGED, settings=BY_MATCHER)
    assert (scores[0].message, scores[3].message) == (undecided(0, 3), undecided(3, 0))
    reordered = client.oracle.score(as_items(members[::-1][1:]), components=JUDGED, settings=BY_MATCHER)
    assert reordered[2].message == ""  # the other one is gone
    again = client.oracle.score(as_items([members[i] for i in (1, 3, 0, 2)]), components=JUDGED,
                                settings=BY_MATCHER)  # fmt: skip
    assert (again[1].message, again[2].message) == (undecided(1, 2), undecided(2, 1))
    pieces = score_in_pieces(client, as_items(members), components=JUDGED, settings=BY_MATCHER, piece=2)
    assert [score.message for score in pieces] == [score.message for score in scores]


def test_a_terminal_shows_files_instead_of_numbers(client):
    items = [
        Item(source="0", crystal=hanging(1)),
        Item(source="a.cif", crystal=hanging(2)),
        Item(source="b.cif", crystal=hanging(3)),
    ]
    scores = client.oracle.score(items, components=JUDGED, settings=BY_MATCHER)
    said = io.StringIO()
    show_scores(Console(file=said, width=300), scores)
    about = "StructureMatcher did not finish in time against"
    assert f"0: {about} b.cif" in said.getvalue()
    assert f"a.cif: {about} b.cif" in said.getvalue()
    assert f"b.cif: {about} a.cif" in said.getvalue()


def test_what_relaxation_says_counts_as_the_caller_does(client, crystals):
    members = [UNREADABLE, crystals["Na-fcc"], crystals["SrTiO3"]]
    settings = {"relax": {"max_steps": 1, "fmax": 1e-6}}
    scores = score_in_pieces(client, members, components=("stability",), settings=settings, piece=2)
    for index in (1, 2):
        assert scores[index].relaxation.message.startswith(f"structure {index}: not converged")
