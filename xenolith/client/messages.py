"""Plain data into messages, with errors that name the field."""

import difflib
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from xenolith.errors import FieldViolation, InvalidArgumentError

__all__ = ["fill"]

M = TypeVar("M", bound=Message)
_UNKNOWN = re.compile(r'Message type "xenolith\.v1\.(\w+)" has no field named "(\w+)" at "([\w.\[\]]+)"')


def fill(message: M, values: Mapping[str, Any], what: str) -> M:
    """Set the fields of `message` to `values`, which may hold mappings, lists and messages; None is left out.

    Raises
    ------
    InvalidArgumentError
        If a name is unknown or a value has the wrong type; `what` comes first in its text.
    """
    try:
        return json_format.ParseDict(_plain(values), message)
    except json_format.ParseError as error:
        raise _explained(message, str(error), what) from error


def _explained(message: Message, text: str, what: str) -> InvalidArgumentError:
    found = _UNKNOWN.search(text)
    if found is None:
        return InvalidArgumentError(f"{what}: {' '.join(text.split())}")
    kind, name, path = found.groups()
    fields = message.DESCRIPTOR.file.message_types_by_name.get(kind, message.DESCRIPTOR).fields_by_name
    close = difflib.get_close_matches(name, fields, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(fields)}"
    description = f"has no field {name}; {hint}"
    violation = FieldViolation(field=f"{path}.{name}", description=description)
    return InvalidArgumentError(f"{what}: {path} {description}", violations=[violation])


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return json_format.MessageToDict(value, preserving_proto_field_name=True)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
