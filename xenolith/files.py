"""Files that survive a kill at any moment, and files of the user's that say what is wrong with them."""

import contextlib
import csv
import fcntl
import io
import json
import math
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xenolith.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError

__all__ = [
    "expect_new",
    "locked",
    "publish_directory",
    "read_json",
    "read_text",
    "read_toml",
    "sync_directory",
    "without_nan",
    "write_bytes",
    "write_csv",
    "write_json",
]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, made if missing, against all other processes; waits for whoever has it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file at once: a reader sees the old content or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def write_json(path: Path, document: Any) -> None:
    """Replace a JSON file at once; NaN is refused, because not every reader knows it."""
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False)
    write_bytes(path, (text + "\n").encode())


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Replace a CSV file at once; the first row's keys are its columns, and without rows it is empty."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def expect_new(folder: Path) -> None:
    """Refuse a folder that holds anything, before something is computed for it.

    Raises
    ------
    FailedPreconditionError
        It is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FailedPreconditionError(f"{folder} is there already: give another --out, or remove it")


def without_nan(document: Any) -> Any:
    """Return a document with null in place of every number that is not finite, as JSON has none."""
    if isinstance(document, float):
        return document if math.isfinite(document) else None
    if isinstance(document, dict):
        return {key: without_nan(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [without_nan(value) for value in document]
    return document


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text("utf-8"))


def read_text(path: Path) -> str:
    """Read a text file of the user's.

    Raises
    ------
    NotFoundError
        There is none.
    InvalidArgumentError
        It is a folder, may not be read, or is no text.
    """
    try:
        return path.read_text("utf-8")
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f"{path} is no text file: {error}") from error
    except OSError as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error.strerror or error}") from error


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file of the user's; errors as `read_text`, and `InvalidArgumentError` with the line."""
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgumentError(f"{path} is not valid TOML: {error}") from error


def publish_directory(temporary: Path, final: Path) -> None:
    """Sync a finished directory and give it its name at once."""
    for file in temporary.iterdir():
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    sync_directory(temporary)
    temporary.rename(final)
    sync_directory(final.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
