"""A calculator whose energies are corrected also tells what they were before, through oracle and cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oracle_svc.cache import open_cache
from oracle_svc.crystals.validity import ValidityLimits
from oracle_svc.pipeline.resources import Resources
from oracle_svc.pipeline.results import Component, ScoreOptions
from oracle_svc.pipeline.scorer import Scorer
from oracle_svc.pools.calculator_pool import CalculatorPool
from oracle_svc.service.answers import response_of
from xenolith.crystal import CrystalBatch

STABILITY = ScoreOptions(components=frozenset({Component.VALIDITY, Component.STABILITY}))
PLUG_IN = '''
from dataclasses import replace

from oracle_svc.calculators import open_calculator


class Corrected:
    """EMT, lowered by an eighth of an eV/atom."""

    def __init__(self):
        self._plain = open_calculator(
            "ase", factory="ase.calculators.emt:EMT", id="corrected-emt", scheme="lowered"
        )

    def __getattr__(self, name):
        return getattr(self._plain, name)

    def evaluate(self, batch, *, with_forces=False):
        found = self._plain.evaluate(batch, with_forces=with_forces)
        return replace(
            found, energy_per_atom=found.energy_per_atom - 0.125, raw_energy_per_atom=found.energy_per_atom
        )
'''


@pytest.fixture
def oracle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, matcher) -> Iterator[Scorer]:
    """An oracle of a plug-in, installed as packages are: a module, and what names it."""
    (tmp_path / "corrected_emt.py").write_text(PLUG_IN)
    about = tmp_path / "corrected_emt-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: corrected-emt\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[xenolith.calculators]\ncorrected = corrected_emt:Corrected\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    pool = CalculatorPool(calculator="corrected", workers=1)
    yield Scorer(
        Resources(
            calculators=pool,
            cache=open_cache(f"sqlite:///{tmp_path}/cache.db"),
            limits=ValidityLimits(),
            matcher=matcher,
        )
    )
    pool.close()


def test_the_energy_before_corrections_stands_beside_the_corrected_one(oracle, make_scorer, crystals):
    batch = CrystalBatch.from_crystals([crystals["Cu-fcc"], crystals["Al-fcc"]])
    computed = oracle.score(batch, STABILITY, stop=lambda: False)
    kept = oracle.score(batch, STABILITY, stop=lambda: False)
    assert (computed.stats.calculator_calls, kept.stats.calculator_calls) == (2, 0)
    for scored in (computed, kept):
        answer = response_of(scored, "1")
        assert answer.provenance.calculator_scheme == "lowered"
        for score in answer.scores:
            assert score.raw_energy_per_atom - score.energy_per_atom == pytest.approx(0.125)
    plain = make_scorer().score(batch, STABILITY, stop=lambda: False)
    assert not any(score.HasField("raw_energy_per_atom") for score in response_of(plain, "1").scores)
