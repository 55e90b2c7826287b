"""Numbers as programs write them: uncertainties in brackets, Fortran exponents, fractions."""

import math
import re

__all__ = ["number", "number_with_uncertainty", "unit_of"]

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:\((\d*)\))?([eEdD][+-]?\d+)?")
_FRACTION = re.compile(r"([+-]?\d+)/(\d+)")


def number(text: str) -> float:
    """Return the number of `0.25`, `4.21(3)`, `1.0D+00` or `1/3`.

    Raises
    ------
    ValueError
        It is none, or not finite.
    """
    return number_with_uncertainty(text)[0]


def number_with_uncertainty(text: str) -> tuple[float, float]:
    """Return a number and its standard uncertainty, 0 where none is written: `0.998(3)` has 0.003."""
    text = text.strip()
    if fraction := _FRACTION.fullmatch(text):
        if not int(fraction[2]):
            raise ValueError(f"{text!r} is no number")
        return int(fraction[1]) / int(fraction[2]), 0.0
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no number")
    power = 10.0 ** int(found[3][1:]) if found[3] and len(found[3]) < 6 else 1.0
    if found[3] and len(found[3]) >= 6:
        raise ValueError(f"{text!r} is no sane number")
    value = float(found[1]) * power
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not finite")
    return value, int(found[2]) * _unit(found[1], power) if found[2] else 0.0


def unit_of(text: str) -> float:
    """Return the unit of a number's last digit: 1e-4 for `0.3333`, 0 for what is exact, as `1/3` and `0`."""
    found = _NUMBER.fullmatch(text.strip())
    if found is None or "." not in found[1]:
        return 0.0
    return _unit(found[1], 10.0 ** int(found[3][1:]) if found[3] and len(found[3]) < 6 else 1.0)


def _unit(digits: str, power: float) -> float:
    return float(10.0 ** -len(digits.partition(".")[2]) * power)
