"""Finding and making environments: whole or not at all, once for all processes that want the same."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import structlog

from oracle_svc.environments.catalogue import EnvironmentSpec, environment_of
from oracle_svc.environments.installer import InstallationFailedError, OnLine, install
from oracle_svc.environments.interpreter import Interpreter, packages_beside
from xenolith.files import locked, write_json

__all__ = ["EnvironmentFailedError", "environments_folder", "find", "interpreter_of", "make"]

log = structlog.get_logger(__name__)
_RECORD = "environment.json"
"""Written last: an environment without it was never finished."""


class EnvironmentFailedError(ValueError):
    """An environment could not be made; the message says what to do."""


def environments_folder() -> Path:
    """Where environments are: `XENOLITH_ENVIRONMENTS`, else `xenolith/environments` in the user's cache."""
    if given := os.environ.get("XENOLITH_ENVIRONMENTS"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xenolith" / "environments"


def find(spec: EnvironmentSpec, root: Path | None = None) -> Path | None:
    """Return the folder of an environment that is there and whole, else None."""
    folder = (root or environments_folder()) / spec.folder
    return folder if (folder / _RECORD).is_file() else None


def make(spec: EnvironmentSpec, root: Path | None = None, on_line: OnLine | None = None) -> Path:
    """Return the folder of an environment, made if it is not there.

    Processes that want the same one wait for the first. One that was left half made is made anew.

    Parameters
    ----------
    spec
        What is to be in it.
    root
        Where environments are kept; None: the usual place.
    on_line
        Called with what the installer says, line by line; None: it is logged.

    Raises
    ------
    EnvironmentFailedError
        It could not be made.
    """
    root = root or environments_folder()
    if (found := find(spec, root)) is not None:
        return found
    folder = root / spec.folder
    say = on_line or (lambda line: log.info("installing", environment=spec.name, said=line))
    try:
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / f".{spec.folder}.lock"):
            if find(spec, root) is None:
                _make(spec, folder, say)
    except OSError as error:
        raise EnvironmentFailedError(
            f"the environment {spec.name} cannot be made in {root}: {error}; XENOLITH_ENVIRONMENTS names"
            " another place"
        ) from error
    return folder


def _make(spec: EnvironmentSpec, folder: Path, say: OnLine) -> None:
    say(
        f"making the environment {spec.name} in {folder}: {spec.why}. It installs"
        f" {', '.join(spec.requirements[:2])} and what they need, about {spec.megabytes} MB, once"
    )
    # In its final place, since a virtual environment cannot be moved; what is there was left half made.
    shutil.rmtree(folder, ignore_errors=True)
    try:
        install(spec, folder, say)
    except (InstallationFailedError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise EnvironmentFailedError(
            f"the environment {spec.name} could not be made: {error}\nWithout network, make it where there"
            f" is one, or name a folder of wheels in PIP_FIND_LINKS; then run: python -m"
            f" oracle_svc.environments make {spec.name}"
        ) from error
    packages_beside(folder)
    write_json(folder / _RECORD, {"name": spec.name, "digest": spec.digest, "installed": spec.requirements})
    say(f"the environment {spec.name} is ready")


def interpreter_of(calculator: str, on_line: OnLine | None = None) -> Interpreter:
    """Return what a calculator's processes are started with; its environment is made if it is not there.

    Raises
    ------
    EnvironmentFailedError
        See there.
    """
    spec = environment_of(calculator)
    if spec is None or spec.is_here():
        return Interpreter.this()
    folder = make(spec, on_line=on_line)
    return Interpreter(python=str(folder / "bin" / "python"), path=(str(packages_beside(folder)),))
