"""uv if it is there, else venv and pip: how a virtual environment is filled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from oracle_svc.environments.catalogue import EnvironmentSpec

__all__ = ["InstallationFailedError", "install"]

OnLine = Callable[[str], None]
"""Called with each line that an installer prints."""

_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_LAST_LINES = 8


class InstallationFailedError(RuntimeError):
    """An installer gave up; the message ends with what it said."""


def install(spec: EnvironmentSpec, folder: Path, on_line: OnLine) -> None:
    """Make a virtual environment in `folder`, which is empty or missing, and install all of `spec` there.

    What the user told pip holds for uv too: where wheels lie, and which index stands for PyPI. Without an
    NVIDIA build of PyTorch here, the environment's PyTorch has no CUDA libraries either.

    Raises
    ------
    InstallationFailedError
        See there.
    """
    python = str(folder / "bin" / "python")
    base = str(getattr(sys, "_base_executable", "") or sys.executable)
    uv = _uv()
    if uv is not None:
        _run([uv, "venv", "--quiet", "--python", base, str(folder)], on_line, {})
        settings = {
            "UV_INDEX_STRATEGY": "unsafe-best-match",
            "UV_FIND_LINKS": ",".join(_links()),
            "UV_DEFAULT_INDEX": _pip_setting("index-url"),
        }
        command = [uv, "pip", "install", "--python", python]
        extra = ["--index", index] if (index := _torch_index()) else []
        _run(_with_pins([*command, *extra], spec), on_line, {k: v for k, v in settings.items() if v})
        return
    _run([base, "-m", "venv", str(folder)], on_line, {})
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    extra = ["--extra-index-url", index] if (index := _torch_index()) else []
    _run(_with_pins([*command, *extra], spec), on_line, {})


def _with_pins(command: list[str], spec: EnvironmentSpec) -> list[str]:
    pins = ["-c", str(spec.constraints)] if spec.constraints is not None else []
    return [*command, *pins, *spec.requirements]


def _run(command: list[str], on_line: OnLine, variables: Mapping[str, str]) -> None:
    inherited = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    lines: list[str] = []
    with subprocess.Popen(
        command,
        env={**inherited, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            if line.strip() and not line.startswith(" + "):  # what is there in the end is in the pins
                on_line(line.rstrip())
    if process.returncode != 0:
        tail = "\n".join(lines[-_LAST_LINES:]) or "it said nothing"
        raise InstallationFailedError(f"{' '.join(command[:4])} ... failed:\n{tail}")


def _uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else shutil.which("uv")


def _pip_setting(name: str) -> str:
    """A setting of pip's: from the environment, else from its files."""
    variable = "PIP_" + name.upper().replace("-", "_")
    if variable in os.environ:
        return os.environ[variable]
    asked = [sys.executable, "-m", "pip", "config", "get", f"global.{name}"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _links() -> list[str]:
    return _pip_setting("find-links").split()


def _torch_index() -> str:
    """A further index for PyTorch: `TORCH_INDEX`; unset, that of builds without CUDA if this is one."""
    if "TORCH_INDEX" in os.environ:
        return os.environ["TORCH_INDEX"]
    try:
        without_cuda = version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return ""
    at_hand = any(list(Path(folder).glob("torch-*.whl")) for folder in _links())
    return _CPU_INDEX if without_cuda and not at_hand else ""
