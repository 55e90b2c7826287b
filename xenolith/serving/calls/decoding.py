"""Messages out of bytes, without holding up those who wait for something small.

protobuf decodes a message in one go, and Python computes nothing else meanwhile: 64 MiB of packed numbers are
half a second in which not even a health check is answered. So a large message is taken apart here and decoded
in pieces that take milliseconds, in a thread, one such message after the other. To decode the pieces one
after the other into one message is, by protobuf's own rule, to decode them joined.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from xenolith.errors import invalid_field

__all__ = ["decode", "decode_in_pieces"]

_SMALL = 2**18
"""Bytes that are decoded in one go."""
_FEW_NUMBERS, _NUMBERS_SHARE = 2**20, 16
"""Bytes that a list of numbers of variable length may have in any message, and the part of a larger message
that it may be: each number takes four or eight bytes in memory, and each of an atom comes with 24 of
coordinates."""
_MOST_FIELDS = 2**19
"""Fields of a message, apart from those of small messages inside it."""
_MOST_DEPTH = 32
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARIABLE = {
    FieldDescriptor.TYPE_BOOL,
    FieldDescriptor.TYPE_ENUM,
    FieldDescriptor.TYPE_INT32,
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_SINT32,
    FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_UINT64,
}
"""Types of numbers whose length varies."""

# One at a time: what large messages need of memory and time while they are decoded is needed once.
_thread = ThreadPoolExecutor(1, thread_name_prefix="decoding")


@dataclass(frozen=True, kw_only=True)
class _Within:
    """Where in a request a message is."""

    most_numbers: int
    """Bytes that a list of numbers of variable length may have."""
    path: str = ""
    depth: int = 0

    def inside(self, name: str) -> _Within:
        """Return the place of a field of the message there."""
        return replace(self, path=f"{self.path}.{name}" if self.path else name, depth=self.depth + 1)


async def decode(whole: Callable[[bytes], Any], data: bytes) -> Any:
    """Return the message of these bytes.

    Parameters
    ----------
    whole
        Decodes them in one go, which is done where they are few: the `FromString` of a class of messages.

    Raises
    ------
    DecodeError
        They are no message of this kind.
    InvalidArgumentError
        They hold more than any request may.
    """
    kind = getattr(whole, "__self__", None)
    if len(data) <= _SMALL or not isinstance(kind, type):
        return whole(data)
    return await asyncio.get_running_loop().run_in_executor(_thread, decode_in_pieces, kind, data)


def decode_in_pieces(kind: Callable[[], Any], data: bytes) -> Any:
    """As `decode`, always in pieces, in this thread."""
    message = kind()
    within = _Within(most_numbers=max(_FEW_NUMBERS, len(data) // _NUMBERS_SHARE))
    _merge(message, memoryview(data), within)
    return message


def _merge(message: Any, data: memoryview, within: _Within) -> None:
    """Add what these bytes hold to a message."""
    if within.depth > _MOST_DEPTH:
        raise DecodeError("nested too deep")
    descriptor: Descriptor = message.DESCRIPTOR
    position, begin, fields = 0, 0, 0
    while position < len(data):
        fields += 1
        if fields > _MOST_FIELDS:
            raise invalid_field(within.path or "request", f"holds more than {_MOST_FIELDS} fields")
        first, content, end = _field(data, position)
        if end - position > _SMALL or end - begin > _SMALL:
            _add(message, data[begin:position])
            begin = position
        if end - position > _SMALL:
            known = descriptor.fields_by_number.get(first >> 3)
            _merge_large(message, known, data[position:end], content - position, within)
            begin = end
        position = end
    _add(message, data[begin:position])


def _merge_large(
    message: Any, field: FieldDescriptor | None, data: memoryview, head: int, within: _Within
) -> None:
    """Add one field of many bytes, the first `head` of which say which and how many."""
    inner = None if field is None else field.message_type
    if field is not None and inner is not None and not inner.GetOptions().map_entry:
        if field.is_repeated:
            part = getattr(message, field.name).add()
        else:
            part = getattr(message, field.name)
            part.SetInParent()
        _merge(part, data[head:], within.inside(field.name))
    elif field is not None and field.is_repeated and field.type in _VARIABLE:
        _merge_numbers(message, field, data[head:], within)
    else:  # texts, bytes and numbers of fixed length are copied as they are
        _add(message, data)


def _merge_numbers(message: Any, field: FieldDescriptor, content: memoryview, within: _Within) -> None:
    """Add packed numbers of variable length, some at a time."""
    if len(content) > within.most_numbers:
        raise invalid_field(within.inside(field.name).path, "holds more numbers than any request may")
    name = _varint(field.number << 3 | _BYTES)
    begin = 0
    while begin < len(content):
        end = min(begin + _SMALL, len(content))
        # All bytes of a number but its last have the highest bit set.
        while end < len(content) and content[end - 1] >= 0x80 and end > begin:
            end -= 1
        if end == begin:
            raise DecodeError("a number without end")
        _add(message, name + _varint(end - begin) + content[begin:end])
        begin = end


def _add(message: Any, data: memoryview | bytes) -> None:
    if len(data):
        message.MergeFromString(data)


def _field(data: memoryview, position: int) -> tuple[int, int, int]:
    """Return the number and wire type of a field, where its content begins, and where it ends."""
    first, position = _number(data, position)
    wire = first & 7
    if wire == _VARINT:
        content = position
        _, end = _number(data, position)
    elif wire == _BYTES:
        size, content = _number(data, position)
        end = content + size
    elif wire in {_FIXED64, _FIXED32}:
        content = position
        end = position + (8 if wire == _FIXED64 else 4)
    else:  # groups, which nothing here uses
        raise DecodeError("a group")
    if end > len(data) or not first >> 3:
        raise DecodeError("cut off")
    return first, content, end


def _number(data: memoryview, position: int) -> tuple[int, int]:
    """Return a number of variable length, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise DecodeError("cut off")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise DecodeError("a number without end")


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
