"""Files that survive a kill at any moment: written beside, synced, renamed."""

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["publish_directory", "read_json", "sync_directory", "write_bytes", "write_json"]


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


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text("utf-8"))


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
