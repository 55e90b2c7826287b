"""Rewards in Python files: the terms that they become, and the oracle that is to offer them."""

import argparse

import pytest

from xenolith.cli.trainer.python_rewards import reward_environment
from xenolith.cli.trainer.train import reward_fields
from xenolith.client import run_config
from xenolith.errors import InvalidArgumentError, NotFoundError

FILE = """
from oracle_svc.properties.base import crystal_property


@crystal_property(unit="A^3")
def roominess(crystal):
    return crystal.volume / crystal.num_atoms


@crystal_property()
def lightness(crystal):
    return -float(crystal.numbers.mean())
"""


def given(reward, **addresses):
    return argparse.Namespace(reward=reward, **addresses)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def test_each_function_of_the_file_is_a_term(file):
    config = run_config({"name": "mine"}, **reward_fields(str(file)))
    assert {term.metric: term.weight for term in config.reward_terms} == {
        "properties.roominess": 1.0,
        "properties.lightness": 1.0,
    }


def test_the_oracle_that_is_started_offers_the_file_beside_what_it_offers_anyway(file, monkeypatch):
    monkeypatch.delenv("XENOLITH_ORACLE_PROPERTIES", raising=False)
    assert reward_environment(given(str(file))) == {"XENOLITH_ORACLE_PROPERTIES": f"all,{file}"}
    monkeypatch.setenv("XENOLITH_ORACLE_PROPERTIES", "density")
    assert reward_environment(given(str(file))) == {"XENOLITH_ORACLE_PROPERTIES": f"density,{file}"}
    assert reward_environment(given("discovery")) == {}
    assert reward_environment(given(None)) == {}


def test_what_cannot_be_a_reward_is_told(file, tmp_path):
    with pytest.raises(InvalidArgumentError, match="takes no code from here"):
        reward_environment(given(str(file), trainer="there:1"))
    with pytest.raises(NotFoundError, match="no reward file"):
        reward_fields(str(tmp_path / "none.py"))
    (tmp_path / "empty.py").write_text("x = 1")
    with pytest.raises(InvalidArgumentError, match="defines no property"):
        reward_fields(str(tmp_path / "empty.py"))
