"""What a run wants of its oracle, and what the oracle says that it has."""

from typing import Any

import pytest

from trainer_svc.config.run_config import RunConfig
from trainer_svc.errors import ConfigError
from trainer_svc.training.offers import check_offers
from xenolith.v1 import oracle_pb2


def oracle(**reference: Any) -> oracle_pb2.OracleServiceDescribeResponse:
    given = {"id": "mine", "num_structures": 10, "hull_id": "mine-hull", **reference}
    numbers = [number for number in oracle_pb2.Component.values() if number]
    return oracle_pb2.OracleServiceDescribeResponse(components=numbers, references=[given])


def run(metric: str) -> RunConfig:
    return RunConfig.model_validate({"name": "a-run", "reward": {"terms": [{"metric": metric}]}})


@pytest.mark.parametrize("metric", ["e_above_hull", "creativity", "novel", "density", "structure_diversity"])
def test_what_the_oracle_has_is_taken(metric: str) -> None:
    check_offers(run(metric), oracle())


@pytest.mark.parametrize("metric", ["e_above_hull", "formation_energy_per_atom"])
def test_without_a_hull_nothing_is_valued_on_it(metric: str) -> None:
    with pytest.raises(ConfigError, match=f"values {metric}, and the oracle's reference mine has no hull"):
        check_offers(run(metric), oracle(hull_id=""))
    check_offers(run("energy_per_atom"), oracle(hull_id=""))


@pytest.mark.parametrize("lacking", [{"hull_id": ""}, {"num_structures": 0}])
def test_policies_are_not_chosen_by_what_is_not_measured(lacking: dict[str, Any]) -> None:
    config = run("energy_per_atom")
    check_offers(config, oracle(**lacking))
    choosing = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"every": 5})})
    with pytest.raises(ConfigError, match=r"evaluation\.every chooses policies by their mSUN"):
        check_offers(choosing, oracle(**lacking))


@pytest.mark.parametrize("metric", ["novel", "creativity", "amd_distance", "composition_diversity"])
def test_beside_a_hull_alone_nothing_is_valued_against_the_known(metric: str) -> None:
    with pytest.raises(ConfigError, match="is a hull alone"):
        check_offers(run(metric), oracle(num_structures=0))
    check_offers(run("e_above_hull"), oracle(num_structures=0))
