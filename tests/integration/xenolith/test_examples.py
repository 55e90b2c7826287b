"""The examples of the SDK against a real local stack: a tiny generator, CHGNet with its hull, the trainer."""

import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tiny_bundle import make_tiny_bundle
from xenolith.client.local_stack import FOLDER_VARIABLE
from xenolith.stack import Stack, StackSettings

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def local_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    settings = StackSettings(
        bundle=str(make_tiny_bundle(folder / "tiny").path),
        reference=str(ROOT / "bundles" / "mp20-small"),
        runs=folder / "runs",
        home=folder / "xenolith-stack",
        environment={"PYTHONPATH": str(ROOT)},
    )
    with Stack(settings) as stack:
        yield stack


@pytest.fixture
def found(local_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The stack, where `Client()` finds it."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(local_stack.settings.home))
    return local_stack


def test_the_sdk_example_runs_against_the_local_stack(
    found: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    runpy.run_path(str(ROOT / "examples" / "sdk.py"))["main"](["--name", "told", "--steps", "2", "-n", "3"])
    told = capsys.readouterr().out
    assert told.count("3 crystals of policy base:") == 1
    assert "pymatgen Na1 Cl1, ASE NaCl, back NaCl" in told
    assert "rock salt: [0.002, 0.002, 0.002] 0" in told
    assert "step 2: reward" in told
    assert "run told: SUCCEEDED after 2 of 2 steps" in told
    assert told.count("3 crystals of policy told/2:") == 3
    assert "InvalidArgumentError: 'Xx' is no element" in told
    assert told.rstrip().endswith("run told: SUCCEEDED")
    assert (found.settings.runs / "told" / "config.json").is_file()
