"""Conditions that samples are drawn under."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from xenolith.client.messages import fill
from xenolith.elements import atomic_number
from xenolith.errors import InvalidArgumentError
from xenolith.formula import parse_formula
from xenolith.v1 import generator_pb2

__all__ = ["condition", "read_condition"]


def condition(
    *,
    composition: Mapping[str, float] | str | None = None,
    chemical_system: Iterable[str] | str = (),
    properties: Mapping[str, float] | None = None,
) -> generator_pb2.Condition:
    """Return a condition for `sample`; what is left out is free.

    Parameters
    ----------
    composition
        Formula such as ``"SrTiO3"``, or amounts by symbol; only ratios matter.
    chemical_system
        ``"Li-Fe-O"``, or symbols: every element of the crystal is one of these.
    properties
        Values by name, such as ``{"band_gap": 3.0}``, in the units of the bundle's card.

    Raises
    ------
    InvalidArgumentError
        A symbol is no element, or a formula is none.
    """
    if isinstance(composition, str):
        try:
            composition = parse_formula(composition)
        except ValueError as error:
            raise InvalidArgumentError(str(error)) from None
    if isinstance(chemical_system, str):
        chemical_system = [symbol for symbol in re.split(r"[-,\s]+", chemical_system) if symbol]
    try:
        amounts = [
            generator_pb2.ElementAmount(number=atomic_number(symbol), amount=amount)
            for symbol, amount in (composition or {}).items()
        ]
        system = [atomic_number(symbol) for symbol in chemical_system]
    except KeyError as error:
        raise InvalidArgumentError(f"{error.args[0]!r} is no element") from None
    return generator_pb2.Condition(composition=amounts, chemical_system=system, properties=properties)


def read_condition(document: Mapping[str, Any]) -> generator_pb2.Condition:
    """Return a condition that is written as a table, such as in the configuration of a run.

    Parameters
    ----------
    document
        In the contract's JSON form, or with a formula for ``composition`` and a text such as ``Li-Fe-O`` for
        ``chemical_system``.

    Raises
    ------
    InvalidArgumentError
        It is neither.
    """
    texts = {
        key: document[key] for key in ("composition", "chemical_system") if isinstance(document.get(key), str)
    }
    rest = {key: value for key, value in document.items() if key not in texts}
    return fill(condition(**texts), rest, "condition")
