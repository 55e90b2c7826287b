import argparse

import pytest

from trainer_svc.settings import TrainerSettings
from xenolith.errors import InvalidArgumentError


def parsed(*arguments: str) -> TrainerSettings:
    parser = argparse.ArgumentParser()
    TrainerSettings.add_options(parser, "trainer")
    return TrainerSettings.read(parser.parse_args(arguments))


def test_an_argument_beats_the_trainers_variable_beats_the_stacks(monkeypatch):
    assert parsed().generator == "127.0.0.1:50051"
    monkeypatch.setenv("XENOLITH_GENERATOR", "stack:1")
    assert parsed().generator == "stack:1"
    monkeypatch.setenv("XENOLITH_TRAINER_GENERATOR", "own:2")
    assert parsed().generator == "own:2"
    assert parsed("--generator", "given:3").generator == "given:3"


def test_wrong_values_are_named():
    with pytest.raises(InvalidArgumentError, match="threads"):
        parsed("--threads", "0")
