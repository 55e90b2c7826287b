import argparse

import pytest
import torch

from generator_svc.service.settings import GeneratorSettings
from xenolith.errors import InvalidArgumentError


def parsed(*arguments: str) -> GeneratorSettings:
    parser = argparse.ArgumentParser()
    GeneratorSettings.add_options(parser, "generator")
    return GeneratorSettings.read(parser.parse_args(arguments))


def test_an_argument_beats_the_generators_variable_beats_the_stacks(monkeypatch):
    monkeypatch.setenv("XENOLITH_ORACLE", "stack:1")
    assert parsed().cleanup_oracle == "stack:1"
    monkeypatch.setenv("XENOLITH_GENERATOR_CLEANUP_ORACLE", "own:2")
    assert parsed().cleanup_oracle == "own:2"
    assert parsed("--cleanup-oracle", "given:3").cleanup_oracle == "given:3"


def test_no_threads_means_all_of_them():
    assert parsed("--threads", "0").torch_threads >= 1
    assert parsed("--device", "cpu").torch_device == torch.device("cpu")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--threads", "many"], "threads: .*integer"),
        (["--threads", "-1"], "threads: .*greater"),
        (["--device", "abacus"], "device: .*'abacus' is no torch device"),
    ],
)
def test_wrong_values_are_named(arguments, problem):
    with pytest.raises(InvalidArgumentError, match=problem):
        parsed(*arguments)
