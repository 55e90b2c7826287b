"""Conditions of a run as people write them."""

import pytest

from trainer_svc.config.messages import config_from_proto
from xenolith.client import condition
from xenolith.client.trainer_calls import run_config
from xenolith.errors import InvalidArgumentError


def test_formulas_and_chemical_systems_may_be_texts() -> None:
    tables = [
        {"chemical_system": "Li-Fe-O", "properties": {"band_gap": 3.0}},
        {"composition": "SrTiO3"},
        {"chemical_system": [3, 26, 8]},
    ]
    message = run_config({"name": "asked", "conditions": tables})
    system = condition(chemical_system="Li-Fe-O", properties={"band_gap": 3.0})
    assert list(message.conditions) == [
        system,
        condition(composition="SrTiO3"),
        condition(chemical_system="Li-Fe-O"),
    ]
    assert list(run_config({"name": "asked"}, conditions=[system]).conditions) == [system]
    assert len(config_from_proto(message).conditions) == 3


def test_a_condition_that_is_none_says_what_is_wrong() -> None:
    with pytest.raises(InvalidArgumentError, match="'Xx' is no element"):
        run_config({"name": "asked", "conditions": [{"chemical_system": "Li-Xx"}]})
    with pytest.raises(InvalidArgumentError, match="has no field elements"):
        run_config({"name": "asked", "conditions": [{"elements": "Li"}]})
