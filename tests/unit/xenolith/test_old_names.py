import importlib
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("xenolith.wire", "xenolith.contract.wire"),
        ("generator_svc.bundle", "generator_svc.storage.bundle"),
        ("generator_svc.predictor.predictor", "generator_svc.predictor.trained"),
        ("oracle_svc.calculators.mace_fetch", "oracle_svc.calculators.mace.fetch"),
        ("oracle_svc.jobs.run", "oracle_svc.pools.jobs.run"),
        ("oracle_svc.references.build", "oracle_svc.known.build.from_tables"),
    ],
)
def test_an_old_name_is_the_very_module_of_the_new_one(old: str, new: str) -> None:
    assert importlib.import_module(old) is importlib.import_module(new)
    found = importlib.import_module(new).__spec__
    assert found is not None
    assert found.name == new


@pytest.mark.parametrize(
    "old",
    ["oracle_svc.calculators.validate", "oracle_svc.references.build", "oracle_svc.references.hull_build"],
)
def test_a_command_of_an_old_name_runs(old: str) -> None:
    done = subprocess.run([sys.executable, "-m", old, "--help"], capture_output=True, text=True, check=True)
    assert "usage:" in done.stdout


def test_a_name_that_never_was_is_still_missing() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("oracle_svc.references.nothing")
