"""A small, versioned, checksummed encoding of named arrays and JSON scalars.

It is what the cache stores and what travels to worker processes. Nothing is ever unpickled: a record is

    magic (4 bytes) | format version (u16) | header length (u32) | BLAKE2b-128 (16 bytes) | header (JSON) |
    arrays

so that a torn, foreign or flipped record decodes to an error, never to a wrong value.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["CodecError", "decode", "encode"]

_MAGIC = b"XnRc"
_VERSION = 1
_HEAD = struct.Struct("<4sHI16s")
_DTYPES = frozenset({"<f8", "<f4", "<i8", "<i4", "|u1", "|b1"})


class CodecError(ValueError):
    """The bytes are not a whole record of this format version."""


def encode(record: Mapping[str, Any]) -> bytes:
    """Encode a record.

    Parameters
    ----------
    record
        Names to numpy arrays (float64, float32, int64, int32, uint8 or bool, of any shape) or to JSON values.

    Raises
    ------
    CodecError
        A value is neither.
    """
    plain: dict[str, Any] = {}
    layout: list[tuple[str, str, list[int]]] = []
    chunks: list[bytes] = []
    for name, value in record.items():
        if isinstance(value, np.ndarray):  # noqa: TID251
            array = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
            if array.dtype.str not in _DTYPES:
                raise CodecError(f"field {name!r}: dtype {value.dtype} cannot be encoded")
            layout.append((name, array.dtype.str, list(value.shape)))
            chunks.append(array.tobytes())
        else:
            plain[name] = value
    try:
        header = json.dumps({"plain": plain, "arrays": layout}, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise CodecError(f"a field is neither an array nor JSON: {error}") from error
    body = header + b"".join(chunks)
    return _HEAD.pack(_MAGIC, _VERSION, len(header), _checksum(len(header), body)) + body


def decode(data: bytes) -> dict[str, Any]:
    """Decode what `encode` wrote; arrays are fresh copies.

    Raises
    ------
    CodecError
        The bytes are truncated, altered, or of another format or version.
    """
    if len(data) < _HEAD.size:
        raise CodecError("record is truncated")
    magic, version, header_length, checksum = _HEAD.unpack_from(data)
    if magic != _MAGIC or version != _VERSION:
        raise CodecError(f"record has another format (version {version}, expected {_VERSION})")
    body = data[_HEAD.size :]
    if _checksum(header_length, body) != checksum:
        raise CodecError("record is corrupt: its checksum does not match")
    header = json.loads(body[:header_length])
    record: dict[str, Any] = dict(header["plain"])
    offset = header_length
    for name, dtype, shape in header["arrays"]:
        count = math.prod(shape)
        record[name] = np.frombuffer(body, dtype=dtype, count=count, offset=offset).reshape(shape).copy()
        offset += count * np.dtype(dtype).itemsize
    return record


def _checksum(header_length: int, body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16, salt=struct.pack("<I", header_length)).digest()
