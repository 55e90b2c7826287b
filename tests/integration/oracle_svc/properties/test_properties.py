"""Properties through the oracle: other people's functions in real processes, over real gRPC."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import grpc
import pytest

from oracle_svc.cache import open_cache
from oracle_svc.crystals.validity import ValidityLimits
from oracle_svc.pipeline.resources import Resources
from oracle_svc.pipeline.results import Component, ScoreOptions
from oracle_svc.pipeline.scorer import Scorer
from oracle_svc.properties.shelf import PropertyShelf
from oracle_svc.service.servicer import OracleService
from oracle_svc.service.startup import describe
from oracle_svc.status import Status
from xenolith.contract.wire import batch_to_proto
from xenolith.crystal import CrystalBatch
from xenolith.errors import FailedPreconditionError, InvalidArgumentError
from xenolith.serving import ServingSettings, threaded_server
from xenolith.v1 import oracle_pb2, oracle_pb2_grpc

PLUGINS = '''
import os
import time
from oracle_svc.properties import crystal_property

@crystal_property(unit="atoms")
def atoms(crystal):
    """Atoms of the primitive cell."""
    return crystal.num_atoms

@crystal_property()
def raises_on_titanium(crystal):
    if 22 in crystal.numbers:
        raise RuntimeError("titanium is too much")
    return 1.0

@crystal_property()
def dies_on_titanium(crystal):
    if 22 in crystal.numbers:
        os._exit(7)
    return 2.0

@crystal_property()
def hangs_on_titanium(crystal):
    while 22 in crystal.numbers:
        time.sleep(0.01)
    return 3.0

@crystal_property()
def hangs(crystal):
    while True:
        pass
'''
FAST = ("atoms", "raises_on_titanium", "dies_on_titanium", "hangs_on_titanium")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, calculators) -> Iterator[PropertyShelf]:
    file = tmp_path_factory.mktemp("plugins") / "plugins.py"
    file.write_text(PLUGINS)
    made = PropertyShelf(
        f"all,{file}", calculator_digest=calculators.identity.settings_digest, workers=1, limit_s=1.5
    )
    yield made
    made.close()


@pytest.fixture
def oracle(calculators, reference, matcher, shelf) -> Callable[..., Scorer]:
    def make(url: str = "none") -> Scorer:
        return Scorer(
            Resources(
                calculators=calculators,
                references=[reference],
                cache=open_cache(url),
                limits=ValidityLimits(max_atoms=200),
                matcher=matcher,
                properties=shelf,
            )
        )

    return make


def wanted(*names: str) -> ScoreOptions:
    return ScoreOptions(components=frozenset({Component.VALIDITY, Component.PROPERTIES}), properties=names)


def score(scorer: Scorer, options: ScoreOptions, *crystals):
    return scorer.score(CrystalBatch.from_crystals(crystals), options, stop=lambda: False)


def test_a_function_that_raises_dies_or_hangs_costs_its_structure_that_value(oracle, crystals):
    salt, perovskite = crystals["NaCl-rocksalt"], crystals["SrTiO3"]
    scored = score(oracle(), wanted(*FAST), salt, perovskite, salt)
    good = {"atoms": 2.0, "raises_on_titanium": 1.0, "dies_on_titanium": 2.0, "hangs_on_titanium": 3.0}
    assert scored.scores[0].properties == scored.scores[2].properties == good
    assert scored.scores[0].verdict.status is Status.OK
    assert scored.scores[1].properties == {"atoms": 5.0}
    verdict = scored.scores[1].verdict
    assert verdict.status is Status.CALCULATOR_FAILED
    assert "raises_on_titanium: RuntimeError: titanium is too much" in verdict.message
    hung = score(oracle(), wanted("hangs_on_titanium"), perovskite, salt)
    assert hung.scores[0].verdict.status is Status.TIMEOUT
    assert "took longer than 1.5 s" in hung.scores[0].verdict.message
    assert hung.scores[1].properties == {"hangs_on_titanium": 3.0}


def test_a_function_that_always_hangs_is_given_up(oracle, crystals):
    chosen = [crystal for crystal in crystals.values() if crystal.num_atoms <= 8][:30]
    scored = score(oracle(), wanted("hangs"), *chosen)
    assert {one.verdict.status for one in scored.scores} == {Status.TIMEOUT}
    assert sum("given up" in one.verdict.message for one in scored.scores) == 27
    assert sum("took longer" in one.verdict.message for one in scored.scores) == 3


def test_values_are_kept_and_failures_are_not(oracle, crystals, redescribe, tmp_path):
    import numpy as np

    url = f"sqlite:///{tmp_path}/cache.db"
    salt, perovskite = crystals["NaCl-rocksalt"], crystals["SrTiO3"]
    names = wanted("atoms", "raises_on_titanium")
    first = score(oracle(url), names, salt, perovskite)
    assert (first.stats.cache_hits, first.stats.cache_misses) == (0, 4)
    again = score(oracle(url), names, redescribe(salt, np.random.default_rng(0)), perovskite)
    assert (again.stats.cache_hits, again.stats.cache_misses) == (3, 1)
    assert again.scores[0].properties == first.scores[0].properties
    assert again.scores[1].verdict.status is Status.CALCULATOR_FAILED


def test_invalid_structures_have_no_properties(oracle, crystals):
    broken = crystals["NaCl-rocksalt"]
    flat = type(broken)(lattice=broken.lattice * 0.01, numbers=broken.numbers, frac_coords=broken.frac_coords)
    scored = score(oracle(), wanted("atoms", "density"), flat, broken)
    assert scored.scores[0].properties == {}
    assert scored.scores[0].outcomes[Component.PROPERTIES].status is Status.SKIPPED
    assert scored.scores[1].properties["density"] == pytest.approx(2.163, rel=5e-3)


def test_names_are_checked_and_foreign_embeddings_refused(oracle, crystals):
    with pytest.raises(InvalidArgumentError, match="band_gap"):
        score(oracle(), wanted("bandgap"), crystals["NaCl-rocksalt"])
    foreign = PropertyShelf("all", calculator_digest="of another calculator")
    assert "band_gap" not in foreign.infos
    with pytest.raises(FailedPreconditionError, match="another calculator"):
        foreign.chosen(["band_gap"])


def test_a_file_that_cannot_be_imported_says_which_and_why(tmp_path):
    file = tmp_path / "bad.py"
    file.write_text("import nothing_of_this_name\n")
    with pytest.raises(ValueError, match=r"bad\.py: ModuleNotFoundError.*nothing_of_this_name"):
        PropertyShelf(str(file), calculator_digest="")
    twice = tmp_path / "twice.py"
    twice.write_text(
        "from oracle_svc.properties import crystal_property\n"
        "@crystal_property()\ndef density(crystal):\n    return 1.0\n"
    )
    with pytest.raises(ValueError, match="two properties are named 'density'"):
        PropertyShelf(f"density,{twice}", calculator_digest="")


def test_band_gaps_and_digests_travel_over_grpc(oracle, crystals):
    scorer = oracle()
    service = OracleService(scorer, describe(scorer, max_batch=100), threads=1)
    batch = CrystalBatch.from_crystals([crystals["NaCl-rocksalt"], crystals["Cu-fcc"]])
    request = oracle_pb2.ScoreRequest(
        crystals=batch_to_proto(batch), components=[oracle_pb2.COMPONENT_PROPERTIES]
    )
    request.settings.properties.extend(["band_gap", "band_gap_std", "density"])
    with threaded_server([service], ServingSettings(grace_s=1.0)) as running:  # noqa: SIM117
        with grpc.insecure_channel(running.address) as channel:
            stub = oracle_pb2_grpc.OracleServiceStub(channel)
            told = stub.Describe(oracle_pb2.OracleServiceDescribeRequest(), timeout=30)
            answer = stub.Score(request, timeout=60)
            request.ClearField("components")
            other = stub.Score(request, timeout=60)
    assert oracle_pb2.COMPONENT_PROPERTIES in told.components
    infos = {info.name: info for info in told.properties}
    assert {"density", "volume_per_atom", "band_gap", "band_gap_std", "atoms"} <= infos.keys()
    assert infos["band_gap"].unit == "eV"
    assert "test MAE" in infos["band_gap"].description
    salt, copper = answer.scores
    assert salt.properties["band_gap"] == pytest.approx(5.0, abs=1.0)
    assert copper.properties["band_gap"] == 0.0
    assert dict(answer.provenance.property_digests).keys() == {"band_gap", "band_gap_std", "density"}
    assert answer.provenance.property_digests["band_gap"] == infos["band_gap"].digest
    # A run that names its properties stays on one scale, whichever components a call asks for.
    assert other.provenance.settings_digest == answer.provenance.settings_digest
    assert not other.scores[0].properties
