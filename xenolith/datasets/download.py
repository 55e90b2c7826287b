"""Downloads that are whole or not there at all."""

import hashlib
import json
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from xenolith.errors import DataLossError, UnavailableError

__all__ = ["download", "download_file", "download_lfs", "git_blob_id", "read_json", "sha256_of"]

_PIECE = 2**18
_TIMEOUT_S = 60.0
_LFS = "application/vnd.git-lfs+json"


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
    return _fetch(url, target, blob_id, git_blob_id, on_bytes, {})


def download_file(
    url: str, target: Path, sha256: str, on_bytes: Callable[[int], None] = lambda _n: None
) -> Path:
    """Fetch a file that is known by its SHA-256 (hex); `target` appears once it is verified.

    Raises
    ------
    UnavailableError, DataLossError
        As `download`.
    """
    return _fetch(url, target, sha256, sha256_of, on_bytes, {})


def download_lfs(
    server: str,
    oid: str,
    size: int,
    target: Path,
    on_bytes: Callable[[int], None] = lambda _n: None,
) -> Path:
    """Fetch a file from a Git LFS server by its SHA-256; `target` appears once it is verified.

    Parameters
    ----------
    server
        Address of the LFS server: that of the repository, ``.git/info/lfs``.
    oid, size
        The file's SHA-256 and bytes, as the pointer file in the repository gives them.

    Raises
    ------
    UnavailableError
        If the server cannot be reached or does not give the file, as when its quota is used up.
    DataLossError
        If what arrived is something else.
    """
    if target.is_file() and sha256_of(target) == oid:
        on_bytes(size)
        return target
    wanted = {"operation": "download", "transfers": ["basic"], "objects": [{"oid": oid, "size": size}]}
    headers = {"Accept": _LFS, "Content-Type": _LFS}
    with _open(f"{server}/objects/batch", headers, json.dumps(wanted).encode()) as response:
        answer = json.load(response)["objects"][0]
    if "error" in answer or "download" not in answer.get("actions", {}):
        reason = answer.get("error", {}).get("message", "it offers no download")
        raise UnavailableError(f"{server} does not give the file: {reason}")
    action = answer["actions"]["download"]
    return _fetch(action["href"], target, oid, sha256_of, on_bytes, action.get("header", {}))


def _fetch(
    url: str,
    target: Path,
    expected: str,
    digest_of: Callable[[Path], str],
    on_bytes: Callable[[int], None],
    headers: Mapping[str, str],
) -> Path:
    if target.is_file() and digest_of(target) == expected:
        on_bytes(target.stat().st_size)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as output, _open(url, headers) as response:
            while piece := response.read(_PIECE):
                output.write(piece)
                on_bytes(len(piece))
        if (actual := digest_of(part)) != expected:
            raise DataLossError(f"{url} arrived with id {actual}, its source lists {expected}; try again")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_blob_id(path: Path) -> str:
    """Return the id under which git stores a file: SHA-1 over its size and content."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _open(url: str, headers: Mapping[str, str] | None = None, data: bytes | None = None) -> Any:
    if not url.startswith(("https://", "http://")):
        raise UnavailableError(f"{url} is no web address")
    request = urllib.request.Request(  # noqa: S310  # checked above
        url, data=data, headers={"User-Agent": "xenolith", **(headers or {})}
    )
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310
    except (urllib.error.URLError, OSError) as error:
        raise UnavailableError(f"{url} cannot be fetched: {getattr(error, 'reason', error)}") from error
