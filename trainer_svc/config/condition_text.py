"""Conditions as people write them, to the contract's form."""

from typing import Any

from google.protobuf import json_format

from xenolith.client import condition
from xenolith.errors import InvalidArgumentError

__all__ = ["normalized"]


def normalized(document: Any) -> dict[str, Any]:
    """Give a condition in the contract's JSON form.

    Parameters
    ----------
    document
        In that form, or with a formula for ``composition`` and a text such as ``Li-Fe-O`` for
        ``chemical_system``.

    Raises
    ------
    ValueError
        It is neither.
    """
    if not isinstance(document, dict):
        raise ValueError("a condition is a table with composition, chemical_system or properties")
    texts = {
        key: document[key] for key in ("composition", "chemical_system") if isinstance(document.get(key), str)
    }
    rest = {key: value for key, value in document.items() if key not in texts}
    try:
        message = condition(**texts)
        json_format.ParseDict(rest, message)
    except (InvalidArgumentError, json_format.ParseError) as error:
        raise ValueError(str(error)) from error
    return json_format.MessageToDict(message, preserving_proto_field_name=True)
