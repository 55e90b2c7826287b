"""Conditions as people write them, to the contract's form."""

from typing import Any

from google.protobuf import json_format

from xenolith.client.conditions import read_condition
from xenolith.errors import InvalidArgumentError

__all__ = ["normalized"]


def normalized(document: Any) -> dict[str, Any]:
    """Give a condition in the contract's JSON form.

    Parameters
    ----------
    document
        As `read_condition` reads it.

    Raises
    ------
    ValueError
        It is neither.
    """
    if not isinstance(document, dict):
        raise ValueError("a condition is a table with composition, chemical_system or properties")
    try:
        message = read_condition(document)
    except InvalidArgumentError as error:
        raise ValueError(str(error)) from error
    return json_format.MessageToDict(message, preserving_proto_field_name=True)
