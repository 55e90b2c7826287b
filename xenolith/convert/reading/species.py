"""Elements of the names that files give to atoms: symbols, ions, isotopes, labels, potentials."""

import re
from dataclasses import dataclass

from xenolith.elements import SYMBOLS

__all__ = ["Species", "labelled", "symbol_of"]

_NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS) if symbol}
_ISOTOPES = {"D": "deuterium", "T": "tritium"}
_SCATTERERS = {"Cval": "C", "Siva": "Si"}
"""Valence states in tables of scattering factors."""
_SYMBOL = re.compile(r"(?P<letters>[A-Za-z]+)(?P<rest>(?:\d*\.?\d*[+-]?\d*|\d*\([IV]+\))(?:[+-]*))")
_LETTERS = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True, kw_only=True)
class Species:
    """Elements that an atom's name may stand for."""

    candidates: tuple[int, ...]
    """Atomic numbers that it may mean, the likeliest first; several only of a label."""
    note: str = ""
    """What was assumed."""


def symbol_of(text: str) -> Species:
    """Return the element of a symbol or an ion: `Mg`, `Fe3+`, `O2-`, `CL`, `D`.

    Case matters little and charges do not; deuterium and tritium are hydrogen.

    Raises
    ------
    ValueError
        It names no element.
    """
    plain = text.strip()
    found = _SYMBOL.fullmatch(plain)
    if found is None:
        raise ValueError(f"{text!r} is no element")
    letters = _SCATTERERS.get(found["letters"], found["letters"])
    symbol = letters.capitalize()
    if symbol in _ISOTOPES:
        return Species(candidates=(1,), note=f"{_ISOTOPES[symbol]} ({text}) is taken as hydrogen")
    if symbol not in _NUMBERS:
        raise ValueError(f"{text!r} is no element")
    note = "" if letters == symbol else f"{text!r} is taken as {symbol}"
    return Species(candidates=(_NUMBERS[symbol],), note=note)


def labelled(text: str) -> Species:
    """Return the elements that a label of a site may mean: `Na1` and `O2A` one, `CA1` calcium or carbon.

    A capital and a small letter name an element, if there is such a one. Two capitals may be an element and a
    letter behind it: both are candidates.

    Raises
    ------
    ValueError
        It can mean none.
    """
    found = _LETTERS.match(text.strip())
    if found is None:
        raise ValueError(f"label {text!r} begins with no element")
    letters = found[0]
    first, pair = letters[0].upper(), letters[:2].capitalize()
    if len(letters) == 1:
        return symbol_of(first)
    if letters[0].isupper() and letters[1].islower():
        if pair in _NUMBERS and (len(letters) == 2 or letters[2].isupper()):
            return Species(candidates=(_NUMBERS[pair],))
        if len(letters) > 2:
            raise ValueError(f"label {text!r} begins with no element")
        candidates = [first]
    else:
        candidates = [pair, first]
    numbers = tuple(dict.fromkeys(_NUMBERS.get(c, 1 if c in _ISOTOPES else 0) for c in candidates))
    numbers = tuple(z for z in numbers if z)
    if not numbers:
        raise ValueError(f"label {text!r} begins with no element")
    return Species(candidates=numbers, note=f"label {text!r} is taken as {SYMBOLS[numbers[0]]}")
