"""The examples of the SDK against a real local stack: the bundle that ships, CHGNet, the trainer."""

import os
import runpy
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from xenolith.client.local_stack import FOLDER_VARIABLE
from xenolith.stack import Stack, StackSettings

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def local_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    settings = StackSettings(
        bundle=str(ROOT / "bundles" / "mp20-small"),
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
    runpy.run_path(str(EXAMPLES / "sdk.py"))["main"](["--name", "told", "--steps", "2", "-n", "3"])
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


def test_the_notebook_runs_against_the_local_stack(
    found: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit it without its outputs"
    client = NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env=dict(os.environ))
    shown = "\n".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    )
    assert "mp20-small up to 20 atoms; chgnet-0.3.0" in shown
    assert "nearest_reference" in shown
    assert "step 3: reward" in shown
    assert "'SUCCEEDED'" in shown
    assert (found.settings.runs / "notebook" / "report.html").is_file()
