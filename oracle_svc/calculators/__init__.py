"""Energy calculators: CHGNet (default), MACE, and anything with an ASE calculator.

Further ones come from other packages: an entry point in the group `xenolith.calculators`, whose name is the
calculator's and whose object makes a `Calculator` from keyword settings.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

from oracle_svc.calculators.base import Calculator

__all__ = ["Calculator", "open_calculator"]

_GROUP = "xenolith.calculators"
_BUILT_IN = {
    "chgnet": ("oracle_svc.calculators.chgnet", "ChgnetCalculator"),
    "mace": ("oracle_svc.calculators.mace", "MaceCalculator"),
    "ase": ("oracle_svc.calculators.ase_", "AseCalculator"),
}


def open_calculator(name: str, **settings: Any) -> Calculator:
    """Make a calculator by name.

    Parameters
    ----------
    name
        `chgnet`, `mace`, `ase`, or the name of an entry point in the group `xenolith.calculators`.
    settings
        Settings of that calculator.

    Raises
    ------
    ValueError
        Nobody offers a calculator of that name.
    """
    if name in _BUILT_IN and find_spec(_BUILT_IN[name][0]) is not None:
        module, attribute = _BUILT_IN[name]
        made: Calculator = getattr(__import__(module, fromlist=[attribute]), attribute)(**settings)
        return made
    offered = {point.name: point for point in entry_points(group=_GROUP)}
    if name not in offered:
        known = ", ".join(sorted({*_BUILT_IN, *offered}))
        raise ValueError(f"no calculator {name!r}: known are {known}")
    plugin: Calculator = offered[name].load()(**settings)
    return plugin
