"""Which calculators need libraries that do not go with the rest, and which versions of them."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

__all__ = ["CATALOGUE", "EnvironmentSpec", "environment_of"]

# What a process needs that exchanges crystals with the oracle: the SDK's own dependencies, and neighbours.
_OF_A_WORKER: Final = (
    "googleapis-common-protos",
    "grpcio",
    "grpcio-health-checking",
    "grpcio-status",
    "numpy",
    "protobuf",
    "pymatgen",
    "structlog",
)


@dataclass(frozen=True, kw_only=True)
class EnvironmentSpec:
    """A virtual environment for calculators, by what is installed in it."""

    name: str
    """Short name, which is also that of Xenolith's extra with the same libraries."""
    why: str
    """Why it is apart, in a sentence for the user."""
    requirements: tuple[str, ...]
    """What to install. The first is pinned (`name==version`): an interpreter that has it needs no other."""
    constraints: Path | None
    """File of pins of everything below the requirements."""
    megabytes: int
    """About what it takes on disk."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of all that decides what is installed."""
        pins = self.constraints.read_bytes() if self.constraints is not None else b""
        told = "\n".join([*self.requirements, platform.machine(), platform.system(), _minor_version()])
        return hashlib.sha256(told.encode() + b"\n" + pins).hexdigest()

    @property
    def folder(self) -> str:
        """Name of its folder among the environments."""
        return f"{self.name}-{self.digest[:12]}"

    def is_here(self) -> bool:
        """Whether this very interpreter has the libraries."""
        name, _, wanted = self.requirements[0].partition("==")
        try:
            return version(name) == wanted
        except PackageNotFoundError:
            return False


CATALOGUE: Final = {
    "sevennet": EnvironmentSpec(
        name="sevennet",
        why="SevenNet needs e3nn 0.5 or newer, and mace-torch needs e3nn 0.4.4",
        requirements=("sevenn==0.13.0", "torch", *_OF_A_WORKER),
        constraints=Path(__file__).with_name("sevennet.txt"),
        megabytes=1600,
    ),
}
"""Environments by name."""

_OF_CALCULATORS: Final = {"sevennet-l3i5": "sevennet"}


def environment_of(calculator: str) -> EnvironmentSpec | None:
    """Return the environment that a calculator needs, None for one that goes with the oracle's."""
    name = _OF_CALCULATORS.get(calculator)
    return CATALOGUE[name] if name is not None else None


def _minor_version() -> str:
    return ".".join(platform.python_version_tuple()[:2])
