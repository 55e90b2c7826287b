"""Files of one kind whose every structure is wanted: the first problem is an error."""

from collections.abc import Callable, Iterator
from pathlib import Path

from xenolith.convert.reading.content import Text, decode, read_bytes
from xenolith.convert.reading.found import Found
from xenolith.crystal import Crystal
from xenolith.errors import CrystalError, ReadError

__all__ = ["crystals_of"]


def crystals_of(path: str | Path, read: Callable[[Text], Iterator[Found]]) -> list[Crystal]:
    """Return all crystals of a text file.

    Raises
    ------
    ReadError
        The file cannot be opened, or one of its structures is refused; names the file and which.
    """
    crystals: list[Crystal] = []
    try:
        for found in read(decode(read_bytes(Path(path)))):
            if found.crystal is None:
                raise found.problem or ReadError("holds no structure")
            crystals.append(found.crystal)
        if not crystals:
            raise ReadError("holds no structure")
    except CrystalError as error:
        raise ReadError(f"{path}: {error.message}") from error
    except ReadError as error:
        raise type(error)(f"{path}: {error.message}") from error
    return crystals
