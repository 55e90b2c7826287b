"""Settings of the calculator that a request names: they must be those that this oracle computes with."""

from __future__ import annotations

import math
from typing import Any

from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict

from oracle_svc.pools.calculator_process import CalculatorIdentity
from xenolith.errors import FailedPreconditionError, FieldViolation

__all__ = ["check_calculator_settings"]

_FIELD = "settings.calculator_settings"


def check_calculator_settings(given: struct_pb2.Struct, identity: CalculatorIdentity) -> None:
    """Refuse values of settings that this oracle does not compute with; names were checked before.

    Energies of two settings share neither hull nor cache, so an oracle has one set; a request that names it
    makes sure of it.

    Raises
    ------
    FailedPreconditionError
        A value is another than this oracle's; names both.
    """
    asked: dict[str, Any] = MessageToDict(given)
    for name, value in asked.items():
        own = identity.parameters.get(name)
        if not _same(value, own):
            text = f"{name} is {own} in this oracle ({identity.id}), not {value}"
            raise FailedPreconditionError(
                f"{text}; energies of two settings never share a hull: start an oracle with the other one",
                violations=[FieldViolation(field=f"{_FIELD}.{name}", description=text)],
            )


def _same(asked: Any, own: Any) -> bool:
    # Struct knows floats alone.
    if isinstance(asked, float) and isinstance(own, int | float) and not isinstance(own, bool):
        return math.isclose(asked, own, rel_tol=1e-12)
    return bool(asked == own)
