"""Extended XYZ files, through ASE: many crystals in a file, each with its numbers beside it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xenolith.convert.ase_atoms import from_ase, to_ase
from xenolith.crystal import Crystal
from xenolith.errors import InvalidArgumentError, ReadError
from xenolith.optional import require

__all__ = ["read_extxyz", "write_extxyz"]


def read_extxyz(path: str | Path) -> list[Crystal]:
    """Return the crystals of a file, in order.

    Raises
    ------
    ReadError
        If the file cannot be understood, or a frame has no cell.
    """
    ase: Any = require("ase.io", "ase")
    try:
        frames = ase.read(str(path), index=":", format="extxyz")
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # a parser of free text fails in any way there is
        raise ReadError(f"{path} is not a readable extxyz file: {error}") from error
    if not frames:
        raise ReadError(f"{path} holds no structure")
    for index, atoms in enumerate(frames):
        if not atoms.cell.array.any():
            raise ReadError(
                f'{path}: frame {index} has no cell; a crystal needs Lattice="..." on its second line'
            )
    return [from_ase(atoms) for atoms in frames]


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
