"""Downloads that are whole or not there at all."""

import hashlib
import json
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xenolith.errors import DataLossError, UnavailableError

__all__ = ["download", "git_blob_id", "read_json"]

_PIECE = 2**18
_TIMEOUT_S = 60.0


def read_json(url: str) -> Any:
    """Return the JSON document at `url`.

    Raises
    ------
    UnavailableError
        If it cannot be had.
    """
    with _open(url) as response:
        return json.load(response)


def download(url: str, target: Path, blob_id: str, on_bytes: Callable[[int], None] = lambda _n: None) -> Path:
    """Fetch a file that is known by the id under which git stores it; `target` appears once it is verified.

    A file that is there already and verifies is left alone.

    Raises
    ------
    UnavailableError
        If it cannot be fetched.
    DataLossError
        If what arrived is something else.
    """
    if target.is_file() and git_blob_id(target) == blob_id:
        on_bytes(target.stat().st_size)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as output, _open(url) as response:
            while piece := response.read(_PIECE):
                output.write(piece)
                on_bytes(len(piece))
        if (actual := git_blob_id(part)) != blob_id:
            raise DataLossError(f"{url} arrived with id {actual}, its source lists {blob_id}; try again")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def git_blob_id(path: Path) -> str:
    """Return the id under which git stores a file: SHA-1 over its size and content."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _open(url: str) -> Any:
    if not url.startswith(("https://", "http://")):
        raise UnavailableError(f"{url} is no web address")
    request = urllib.request.Request(url, headers={"User-Agent": "xenolith"})  # noqa: S310  # checked above
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310
    except (urllib.error.URLError, OSError) as error:
        raise UnavailableError(f"{url} cannot be fetched: {getattr(error, 'reason', error)}") from error
