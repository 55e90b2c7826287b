"""Ceilings on whatever a request holds: the entries of its lists, the letters of its texts, its depth.

A message of a few megabytes can hold millions of entries that each cost a check, a log line, a name in an
error. This looks at a message without touching an entry of a list of numbers, so it costs next to nothing.
"""

from collections.abc import Collection
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from xenolith.errors import invalid_field

__all__ = ["MOST_CHARACTERS", "MOST_ENTRIES", "check_bounded"]

MOST_ENTRIES = 10_000
"""Entries of a list or map."""
MOST_CHARACTERS = 65_536
"""Letters of a text, bytes of a field of bytes."""
_MOST_DEPTH = 32
_TEXTS = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES}


def check_bounded(
    message: Any,
    *,
    entries: int = MOST_ENTRIES,
    characters: int = MOST_CHARACTERS,
    leave: Collection[str] = (),
    path: str = "",
    depth: int = _MOST_DEPTH,
) -> None:
    """Refuse a message that holds more than a ceiling; the error names the field and repeats nothing of it.

    Parameters
    ----------
    message
        Of any type.
    entries, characters
        Most entries of a list or map, most letters of a text.
    leave
        Fields of the message that others check, such as its crystals.
    path
        Where the message is in its request; empty for the request itself.
    depth
        Most messages inside each other.

    Raises
    ------
    InvalidArgumentError
        It does.
    """
    if depth == 0:
        raise invalid_field(path[:100], f"is nested deeper than {_MOST_DEPTH} messages")
    for field, value in message.ListFields():
        if field.name in leave:
            continue
        at = f"{path}.{field.name}" if path else field.name
        many = field.is_repeated
        if many and len(value) > entries:
            raise invalid_field(at, f"has {len(value)} entries, more than {entries}")
        for name, part in _parts(field, value, many):
            if isinstance(part, str | bytes):
                if len(part) > characters:
                    raise invalid_field(at, f"has {len(part)} characters, more than {characters}")
            else:
                check_bounded(
                    part, entries=entries, characters=characters, path=f"{at}{name}", depth=depth - 1
                )


def _parts(field: FieldDescriptor, value: Any, many: bool) -> list[tuple[str, Any]]:
    """Return texts and messages in a field, each with what follows the field's name; nothing of numbers."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        parts: list[tuple[str, Any]] = [("", key) for key in value if isinstance(key, str)]
        if inner.message_type is not None or inner.type in _TEXTS:
            parts += [("[...]", value[key]) for key in value]
        return parts
    if field.message_type is None and field.type not in _TEXTS:
        return []
    return [(f"[{place}]", part) for place, part in enumerate(value)] if many else [("", value)]
