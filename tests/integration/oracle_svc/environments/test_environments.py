"""Environments are made once, whole or not at all, and processes work in them."""

from __future__ import annotations

import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from oracle_svc.environments import (
    CATALOGUE,
    EnvironmentFailedError,
    EnvironmentSpec,
    Interpreter,
    find,
    installer,
    make,
)
from oracle_svc.environments.interpreter import packages_beside
from oracle_svc.pools.calculator_pool import CalculatorPool
from tests.unit.oracle_svc.specimens import salt
from xenolith.crystal import CrystalBatch


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a wheel of one line, which pip and uv are told of."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tinylib-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tinylib.py", "ANSWER = 42\n")
        wheel.writestr(
            "tinylib-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinylib\nVersion: 1.0\n"
        )
        wheel.writestr(
            "tinylib-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("tinylib-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("TORCH_INDEX", "")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "environments"


def tiny(version: str = "1.0") -> EnvironmentSpec:
    return EnvironmentSpec(
        name="tiny", why="it clashes", requirements=(f"tinylib=={version}",), constraints=None, megabytes=1
    )


def answer(folder: Path) -> str:
    code = "import tinylib; print(tinylib.ANSWER)"
    done = subprocess.run([folder / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.usefixtures("wheels")
def test_an_environment_is_made_says_so_and_is_found_again(root: Path) -> None:
    lines: list[str] = []
    spec = tiny()
    assert find(spec, root) is None
    folder = make(spec, root, lines.append)
    assert folder.name == f"tiny-{spec.digest[:12]}"
    assert answer(folder) == "42"
    assert "it clashes" in lines[0] and "tinylib==1.0" in lines[0]
    again: list[str] = []
    assert make(spec, root, again.append) == folder == find(spec, root)
    assert not again


@pytest.mark.slow
@pytest.mark.usefixtures("wheels")
def test_without_uv_pip_makes_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installer, "_uv", lambda: None)
    assert answer(make(tiny(), root, lambda _line: None)) == "42"


@pytest.mark.usefixtures("wheels")
def test_what_cannot_be_installed_leaves_nothing_and_says_what_to_do(root: Path) -> None:
    with pytest.raises(EnvironmentFailedError, match=r"tinylib(.|\n)*PIP_FIND_LINKS"):
        make(tiny("2.0"), root, lambda _line: None)
    assert find(tiny("2.0"), root) is None
    assert not [path for path in root.iterdir() if path.is_dir()]


@pytest.mark.usefixtures("wheels")
def test_a_half_made_one_is_never_used_and_made_anew(root: Path) -> None:
    spec = tiny()
    half = root / spec.folder / "bin"
    half.mkdir(parents=True)
    (half / "python").write_text("torn")
    assert find(spec, root) is None
    assert answer(make(spec, root, lambda _line: None)) == "42"


@pytest.mark.usefixtures("wheels")
def test_who_comes_second_waits_for_the_first(root: Path) -> None:
    lines: list[str] = []
    threads = [threading.Thread(target=make, args=(tiny(), root, lines.append)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("making the environment" in line for line in lines) == 1
    assert find(tiny(), root) is not None


@pytest.mark.usefixtures("wheels")
def test_its_python_finds_these_packages_and_no_library_of_this_environment(root: Path) -> None:
    folder = make(tiny(), root, lambda _line: None)
    there = Interpreter(python=str(folder / "bin" / "python"), path=(str(packages_beside(folder)),))
    code = (
        "from importlib.util import find_spec as f; import pathlib;"
        "print(f('grpc'), f('torch'),"
        " *(pathlib.Path(f(n).origin).resolve() for n in ('oracle_svc', 'xenolith')))"
    )
    done = subprocess.run(
        [there.python, "-c", code], env=there.environment(), capture_output=True, text=True, check=True
    )
    import oracle_svc
    import xenolith

    here = [str(Path(str(package.__file__)).resolve()) for package in (oracle_svc, xenolith)]
    assert done.stdout.split() == ["None", "None", *here]


def test_an_environment_with_other_pins_is_another_one(tmp_path: Path) -> None:
    pins = tmp_path / "pins.txt"
    pins.write_text("a==1\n")
    first = EnvironmentSpec(name="x", why="", requirements=("a==1",), constraints=pins, megabytes=1).folder
    pins.write_text("a==1\nb==2\n")
    second = EnvironmentSpec(name="x", why="", requirements=("a==1",), constraints=pins, megabytes=1).folder
    assert first != second


def test_requirements_of_the_catalogue_are_pinned_all_the_way_down() -> None:
    for spec in CATALOGUE.values():
        assert spec.constraints is not None
        pins = [line for line in spec.constraints.read_text().splitlines() if line and line[0] != "#"]
        names = {pin.partition("==")[0].lower().replace("_", "-") for pin in pins}
        assert all("==" in pin for pin in pins)
        assert {name.partition("==")[0] for name in spec.requirements} <= names


def test_the_calculators_own_interpreter_is_this_one_where_nothing_clashes() -> None:
    from oracle_svc.environments import interpreter_of

    assert interpreter_of("chgnet").python == sys.executable


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_sevennet_measures_in_its_own_environment() -> None:
    """Installs it where it is not yet: more than a gigabyte."""
    pool = CalculatorPool(calculator="sevennet-l3i5")
    try:
        assert pool.identity.id == "sevennet-l3i5" and pool.identity.version == "0.13.0"
        found = pool.evaluate(CrystalBatch.from_crystals([salt()]), with_forces=True)
    finally:
        pool.close()
    assert found.raw_energy_per_atom is not None and found.forces is not None
    assert np.isfinite(found.energy_per_atom).all() and np.isfinite(found.forces).all()
    assert found.energy_per_atom[0] < found.raw_energy_per_atom[0]  # chlorine is corrected downwards
