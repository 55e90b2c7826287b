"""Extended XYZ files: many crystals in a file, each with its numbers beside it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xenolith.convert.ase_atoms import to_ase
from xenolith.convert.reading.extxyz import read_extxyz_text
from xenolith.convert.reading.whole import crystals_of
from xenolith.crystal import Crystal
from xenolith.errors import InvalidArgumentError
from xenolith.optional import require

__all__ = ["read_extxyz", "write_extxyz"]


def read_extxyz(path: str | Path, *, periodic: bool = False) -> list[Crystal]:
    """Return the crystals of a file, in order.

    Parameters
    ----------
    periodic
        Take frames too that say that they are not periodic.

    Raises
    ------
    ReadError
        If a frame cannot be understood, has no cell or is not periodic; `read_path` keeps the others.
    """
    return crystals_of(path, lambda text: read_extxyz_text(text, periodic=periodic))


def write_extxyz(
    path: str | Path,
    crystals: Iterable[Crystal],
    info: Sequence[Mapping[str, Any]] | None = None,
    *,
    append: bool = False,
) -> None:
    """Write crystals to a file, with `append` behind what is there.

    `info` gives the numbers and texts beside each; None values are left out.

    Raises
    ------
    InvalidArgumentError
        If `info` is given and has another length.
    """
    ase: Any = require("ase.io", "ase")
    members = list(crystals)
    if info is not None and len(info) != len(members):
        raise InvalidArgumentError(f"info has {len(info)} entries for {len(members)} crystals")
    beside = info or [{}] * len(members)
    frames = [
        to_ase(crystal, {key: value for key, value in entry.items() if value is not None})
        for crystal, entry in zip(members, beside, strict=True)
    ]
    ase.write(str(path), frames, format="extxyz", append=append)
