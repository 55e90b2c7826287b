from __future__ import annotations

import argparse

import pytest

from oracle_svc.service.settings import OracleSettings
from xenolith.errors import InvalidArgumentError


def parsed(*arguments: str) -> OracleSettings:
    parser = argparse.ArgumentParser()
    OracleSettings.add_options(parser, "oracle")
    return OracleSettings.read(parser.parse_args(arguments))


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in ("XENOLITH_CACHE", "XENOLITH_BUNDLE", "XENOLITH_ORACLE_CACHE", "XENOLITH_ORACLE_WORKERS"):
        monkeypatch.delenv(name, raising=False)


def test_defaults_are_usable():
    settings = parsed()
    assert settings.calculator == "chgnet"
    assert settings.cache.startswith("sqlite:///")
    assert settings.workers >= 1


def test_an_argument_beats_the_oracles_variable_beats_the_stacks(monkeypatch):
    monkeypatch.setenv("XENOLITH_CACHE", "redis://stack")
    monkeypatch.setenv("XENOLITH_BUNDLE", "mine")
    assert (parsed().cache, parsed().reference) == ("redis://stack", "mine")
    monkeypatch.setenv("XENOLITH_ORACLE_CACHE", "redis://oracle")
    assert parsed().cache == "redis://oracle"
    assert parsed("--cache", "none").cache == "none"


def test_calculator_settings_are_json():
    assert parsed("--calculator-settings", '{"path": "model.pt"}').calculator_settings == {"path": "model.pt"}


def test_texts_are_taken_as_they_are():
    audit = '[{"calculator": "mace", "settings": {"name": "mpa, 0"}}]'
    settings = parsed("--reference", "mine,yours", "--audit", audit)
    assert (settings.reference, settings.audit) == ("mine,yours", audit)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(["--workers", "0"], "workers"), (["--calculator-settings", "path"], "calculator_settings")],
)
def test_a_wrong_value_names_the_setting(arguments, name):
    with pytest.raises(InvalidArgumentError, match=name):
        parsed(*arguments)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="extra"):
        OracleSettings(colour="blue")
