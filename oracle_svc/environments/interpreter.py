"""A Python to start processes with, and where it finds Xenolith's own packages."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Interpreter", "packages_beside"]

_PACKAGES = ("oracle_svc", "xenolith")


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """A Python program and its search path."""

    python: str
    """The program."""
    path: tuple[str, ...]
    """Folders that it searches before its own packages."""

    @classmethod
    def this(cls) -> Interpreter:
        """The one that runs this, with all that it finds."""
        return cls(python=sys.executable, path=tuple(entry for entry in sys.path if entry))

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the environment variables of a process."""
        return {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(self.path)}

    def run(self, module: str, arguments: Sequence[str]) -> int:
        """Run a module to its end, on this terminal; return its exit status."""
        return subprocess.run(
            [self.python, "-m", module, *arguments], env=self.environment(), check=False
        ).returncode


def packages_beside(environment: Path) -> Path:
    """Return a folder, kept with an environment, in which Python finds Xenolith's packages and nothing else.

    The folder that holds them here may be one of installed packages, whose libraries are the very ones that
    the environment is to be without.
    """
    roots = [Path(__file__).resolve().parents[1], _root_of_xenolith()]
    digest = hashlib.sha256("\n".join(map(str, roots)).encode()).hexdigest()[:12]
    folder = environment / "xenolith-packages" / digest
    if all((folder / name).exists() for name in _PACKAGES):
        return folder
    try:
        return _linked(folder, roots)
    except OSError:  # an environment that belongs to somebody else, as in an image
        return _linked(Path(tempfile.mkdtemp(prefix="xenolith-packages-")), roots)


def _linked(folder: Path, roots: Sequence[Path]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, root in zip(_PACKAGES, roots, strict=True):
        with contextlib.suppress(FileExistsError):  # another process was first
            (folder / name).symlink_to(root, target_is_directory=True)
    return folder


def _root_of_xenolith() -> Path:
    import xenolith

    return Path(str(xenolith.__file__)).resolve().parent
