"""Seals of checkpoints: digests by which a flipped bit or a cut file is noticed before it is learnt from."""

import hashlib
import json
from pathlib import Path
from typing import Any

from trainer_svc.errors import CheckpointError
from xenolith.files import read_json, write_json

__all__ = ["check_files", "read_sealed", "replace_state", "write_sealed"]

_STATE = "state.json"
_FILES, _OWN = "files", "digest"


def write_sealed(folder: Path, state: dict[str, Any]) -> None:
    """Write ``state.json`` with the SHA-256 of each file that lies beside it, and of itself."""
    _write(
        folder,
        state,
        {path.name: _digest(path) for path in sorted(folder.iterdir()) if path.suffix != ".json"},
    )


def replace_state(folder: Path, state: dict[str, Any]) -> None:
    """Write ``state.json`` anew; the digests of the files beside it stay, whatever has become of the files.

    Raises
    ------
    CheckpointError
        The one that is there is not as it was written.
    """
    _, files = _read(folder)
    _write(folder, state, files)


def read_sealed(folder: Path) -> dict[str, Any]:
    """Read ``state.json`` as it was given to `write_sealed`.

    Raises
    ------
    CheckpointError
        It is not as it was written.
    """
    document, _ = _read(folder)
    return document


def check_files(folder: Path) -> None:
    """Check all files of a checkpoint; one that was written before there were seals is taken as it is.

    Raises
    ------
    CheckpointError
        One is not as it was written, or is missing; names it.
    """
    _, files = _read(folder)
    for name, wanted in files.items():
        path = folder / name
        try:
            found = _digest(path)
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
        if found != wanted:
            raise CheckpointError(
                f"{path} is not as it was written: its SHA-256 is {found[:12]}, not {wanted[:12]}"
            )


def _write(folder: Path, state: dict[str, Any], files: dict[str, str]) -> None:
    # As it will be read again: JSON turns what is no text before a colon into text.
    document = json.loads(json.dumps({**state, _FILES: files}))
    write_json(folder / _STATE, {**document, _OWN: _own_digest(document)})


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    path = folder / _STATE
    try:
        document = dict(read_json(path))
        own, files = document.pop(_OWN, None), document.get(_FILES, {})
        if own is not None and own != _own_digest(document):
            raise ValueError("it is not as it was written")
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be used: {error}") from error
    if own is not None:
        # Where the seal itself is damaged, both names are left for whoever reads the state to stumble over.
        del document[_FILES]
    return document, files


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _own_digest(document: dict[str, Any]) -> str:
    # Of what it says, not of how it is laid out: numbers come out of JSON as they went in.
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
