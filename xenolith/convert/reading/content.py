"""Bytes of a file: compressed or not, and as text in whatever encoding an editor left it."""

import bz2
import gzip
import lzma
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from xenolith.errors import ReadError

__all__ = ["COMPRESSED", "Text", "decode", "read_bytes"]

COMPRESSED = (".gz", ".bz2", ".xz")
"""Endings of compressed files; what counts is how a file begins."""
_MOST_BYTES = 2**31
"""A file that unpacks to more than this is refused."""
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


@dataclass(frozen=True, kw_only=True)
class Text:
    """Text of a file."""

    text: str
    """Lines end in a single newline; no byte order mark."""
    notes: tuple[str, ...] = ()
    """What was assumed of its encoding."""


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """Return the content of a file, unpacked where it is compressed, or its first `most` bytes.

    Raises
    ------
    ReadError
        It cannot be opened, is damaged, or is too large.
    """
    try:
        with path.open("rb") as file:
            start = file.read(6)
            file.seek(0)
            with _unpacked(file, start) as stream:
                content = stream.read(_MOST_BYTES if most is None else most)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise ReadError(f"is a damaged compressed file: {error}") from error
    except OSError as error:
        raise ReadError(f"cannot be read: {error.strerror or error}") from error
    if most is None and len(content) == _MOST_BYTES:
        raise ReadError(f"holds more than {_MOST_BYTES // 2**30} GiB")
    return content


def decode(content: bytes) -> Text:
    """Return text of bytes in UTF-8, UTF-16 or UTF-32, with or without mark, else in Latin-1 with a note."""
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), None) or _unmarked(content)
    notes: tuple[str, ...] = ()
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = content.decode("latin-1")
        notes = (f"the file is not {encoding.removesuffix('-sig').upper()}; read as Latin-1",)
    # Files put together one behind the other keep their marks; editors leave a last Ctrl-Z and hard spaces.
    text = text.replace("\ufeff", "").replace("\u00a0", " ").rstrip("\x1a")
    return Text(text=text.replace("\r\n", "\n").replace("\r", "\n"), notes=notes)


def _unpacked(file: BinaryIO, start: bytes) -> BinaryIO | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile:
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if start.startswith(b"BZh"):
        return bz2.BZ2File(file)
    if start.startswith(b"\xfd7zXZ"):
        return lzma.LZMAFile(file)
    return file


def _unmarked(content: bytes) -> str:
    """UTF-16 without a mark shows as a zero in every other byte of plain text."""
    start = content[:400]
    if len(start) >= 4 and len(content) % 2 == 0:
        for zeros, letters, name in (
            (start[1::2], start[::2], "utf-16-le"),
            (start[::2], start[1::2], "utf-16-be"),
        ):
            if not any(zeros) and all(letters):
                return name
    return "utf-8"
