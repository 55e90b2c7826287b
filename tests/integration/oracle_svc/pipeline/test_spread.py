"""Structure diversity where the oracle's calculator has no embeddings in the reference's space."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oracle_svc.cache import open_cache
from oracle_svc.crystals.validity import ValidityLimits
from oracle_svc.pipeline.resources import Resources
from oracle_svc.pipeline.results import Component, ScoreOptions
from oracle_svc.pipeline.scorer import Scorer
from oracle_svc.pools.calculator_pool import CalculatorPool
from oracle_svc.service.answers import response_of
from xenolith.crystal import CrystalBatch
from xenolith.errors import FailedPreconditionError

DIVERSITY = ScoreOptions(components=frozenset({Component.VALIDITY, Component.STRUCTURE_DIVERSITY}))


@pytest.fixture(scope="module")
def plain_oracle(reference, matcher) -> Iterator[Scorer]:
    """Lennard-Jones energies beside a reference of CHGNet's."""
    pool = CalculatorPool(
        calculator="ase", settings={"factory": "ase.calculators.lj:LennardJones", "id": "lj"}
    )
    scorer = Scorer(
        Resources(
            calculators=pool,
            references=[reference],
            cache=open_cache("none"),
            limits=ValidityLimits(),
            matcher=matcher,
        )
    )
    yield scorer
    pool.close()


def test_diversity_is_measured_on_amd_and_composition_and_says_so(plain_oracle, make_scorer, crystals):
    batch = CrystalBatch.from_crystals([*[crystals["NaCl-rocksalt"]] * 7, crystals["SrTiO3"]])
    scored = plain_oracle.score(batch, DIVERSITY, stop=lambda: False)
    values = [score.structure_diversity for score in scored.scores]
    assert values[7] > 0 > max(values[:7])
    assert scored.stats.calculator_calls == 0
    assert response_of(scored, "1").provenance.diversity_features == "amd+composition"
    other = make_scorer().score(batch, DIVERSITY, stop=lambda: False)
    assert response_of(other, "1").provenance.diversity_features == "embedding:chgnet-0.3.0"
    assert other.provenance.settings_digest != scored.provenance.settings_digest


def test_its_energies_are_still_not_put_on_the_hull_of_another_calculator(plain_oracle, crystals):
    batch = CrystalBatch.from_crystals([crystals["NaCl-rocksalt"]])
    with pytest.raises(FailedPreconditionError, match="computed by chgnet"):
        plain_oracle.score(batch, ScoreOptions(), stop=lambda: False)


def test_oracles_of_one_reference_share_its_spaces(make_scorer, plain_oracle, reference):
    one, other = make_scorer().resources, make_scorer().resources
    assert one.structure_space(reference) is other.structure_space(reference)
    assert plain_oracle.resources.structure_space(reference) is not one.structure_space(reference)
