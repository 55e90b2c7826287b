"""Settings of space groups by the names in use: Hermann-Mauguin, Hall, Schoenflies, number."""

import re
import warnings
from collections import defaultdict
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

from xenolith.convert.reading.cif.operations import Operations, from_triplets, of_group
from xenolith.optional import require

__all__ = ["Setting", "by_hall", "by_name", "by_number"]

_MINUS = str.maketrans(
    {"−": "-", "–": "-", "‐": "-", "₁": "1", "₂": "2", "₃": "3", "₄": "4", "₅": "5", "₆": "6"}
)
_BARS = (r"\\(?:bar|overline)\{?(\d)\}?", r"bar\s*\(?(\d)\)?", r"(\d)\s*bar", r"(\d)[\u0304\u0305]")
_CHOICES = (
    (r"origin\s*(?:choice)?\s*[:@]?\s*1|:\s*o?1\s*$|\bo1\s*$|:?\s*s\s*$", "1"),
    (r"origin\s*(?:choice)?\s*[:@]?\s*2|:\s*o?2\s*$|\bo2\s*$|:?\s*z\s*$", "2"),
    (r"hexagonal(?:\s*axes)?|\bhex\b|:?\s*h\s*$|:\s*hr\s*$", "H"),
    (r"rhombohedral(?:\s*axes)?|\brhomb?\b|:?\s*r\s*$", "R"),
)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A space group on certain axes with a certain origin."""

    number: int
    """International Tables number."""
    name: str
    """Such as `F d -3 m:1`."""
    axes: str
    """The same for settings that differ in nothing but origin or choice of a rhombohedral cell."""
    hall: str = ""
    """Its Hall symbol, or"""
    triplets: tuple[str, ...] = ()
    """its operations, where it is in no table of Hall symbols."""

    @cached_property
    def operations(self) -> Operations:
        """Its operations."""
        if self.triplets:
            return from_triplets(self.triplets)
        gemmi: Any = require("gemmi", "pymatgen")
        return of_group(gemmi.symops_from_hall(self.hall))


def by_number(number: int) -> list[Setting]:
    """Return the standard settings of a number, of either origin and cell; empty if there are none."""
    return list(_tables()["numbers"].get(str(number), ()))


def by_hall(symbol: str) -> Setting | None:
    """Return the setting of a Hall symbol, or None."""
    gemmi: Any = require("gemmi", "pymatgen")
    plain = " ".join(symbol.replace("_", " ").split())
    try:
        group = gemmi.symops_from_hall(plain)
        found = gemmi.find_spacegroup_by_ops(group)
        if len(list(group)) == 0:
            return None
    except (RuntimeError, ValueError):
        return None
    number = found.number if found is not None else 0
    return Setting(number=number, name=f"Hall {plain}", axes=plain, hall=plain)


@lru_cache(maxsize=512)
def by_name(symbol: str) -> tuple[Setting, ...]:
    """Return all settings that a Hermann-Mauguin or Schoenflies symbol may mean, the usual one first.

    Spaces, underscores, case, brackets around screws, bars and the old form without them do not matter.
    """
    name, choice = _normal(symbol)
    tables = _tables()
    found = tuple(dict.fromkeys((*tables["names"].get(name, ()), *_with_glide_e(tables["names"], name))))
    found = found or tables["schoenflies"].get(symbol.strip().lower().replace("_", "")) or ()
    return tuple(s for s in found if not choice or s.name.endswith(f":{choice}"))


def _with_glide_e(names: dict[str, tuple[Setting, ...]], name: str) -> tuple[Setting, ...]:
    """Settings of a symbol with the glide e of 1992, such as C m c e, by its older one: C m c a."""
    place = name.find("e", 1)
    if place < 0:
        return ()
    older = (name[:place] + glide + name[place + 1 :] for glide in "abc")
    return next((names[known] for known in older if known in names), ())


def _normal(symbol: str) -> tuple[str, str]:
    """Symbol without what does not matter, and the choice of origin or axes that it names."""
    text = symbol.strip().strip("'\"").lower().translate(_MINUS)
    text = re.sub(r"</?su[bp]>|[\[\]{}$]" if "\\" not in text else r"</?su[bp]>|[\[\]$]", "", text)
    for bar in _BARS:
        text = re.sub(bar, r"-\1", text)
    text = re.sub(r"(\d)\s*_?\((\d)\)", r"\1\2", text)
    choice = ""
    for pattern, name in _CHOICES:
        if (found := re.search(rf"\(?\s*(?:{pattern})\s*\)?", text)) and found.start():
            choice, text = name, text[: found.start()] + text[found.end() :]
            break
    return re.sub(r"[\s_~^{}:]", "", text), choice


@cache
def _tables() -> dict[str, dict[str, tuple[Setting, ...]]]:
    gemmi: Any = require("gemmi", "pymatgen")
    names: dict[str, list[Setting]] = defaultdict(list)
    numbers: dict[str, list[Setting]] = defaultdict(list)
    rare: dict[str, list[Setting]] = defaultdict(list)
    by_symbols: dict[str, Setting] = {}
    standard: dict[int, str] = {}
    groups = list(gemmi.spacegroup_table())
    for group in groups:
        if group.is_reference_setting():
            standard[group.number] = group.hm
    for group in groups:
        ext = group.ext if group.ext in "12HR" and group.ext.strip("\0") else ""
        setting = Setting(
            number=group.number, name=f"{group.hm}:{ext}" if ext else group.hm, axes=group.hm, hall=group.hall
        )
        by_symbols[group.hall] = setting
        if group.hm == standard.get(group.number):
            numbers[str(group.number)].append(setting)
        plain = _squeezed(group.hm)
        _add(names, plain, setting)
        _add(names, _squeezed(group.short_name()), setting)
        if group.number <= 15:
            # P 21/b says by its glide alone which axis is the unique one; P 21/m means b by custom.
            _add(rare, "".join(part for part in group.hm.lower().split() if part != "1"), setting)
        if group.number >= 195 and "-3" in plain:
            _add(rare, plain.replace("-3", "3"), setting)
    _add_full(names, rare, by_symbols)
    for name, settings in rare.items():
        for setting in settings:
            _add(names, name, setting)
    schoenflies = _schoenflies(numbers)
    return {
        "names": {name: tuple(_unique_b_first(found)) for name, found in names.items()},
        "numbers": {name: tuple(found) for name, found in numbers.items()},
        "schoenflies": schoenflies,
    }


def _add_full(
    names: dict[str, list[Setting]], rare: dict[str, list[Setting]], by_symbols: dict[str, Setting]
) -> None:
    """Full symbols, such as P 2/n 21/m 21/a, and those with the glide e: names of groups in other tables."""
    gemmi: Any = require("gemmi", "pymatgen")
    groups: Any = require("pymatgen.symmetry.groups", "pymatgen")
    for entry in groups.SpaceGroup.SYMM_OPS:
        setting = by_symbols.get(" ".join(entry["hall"].split()))
        if setting is None:
            operations = gemmi.GroupOps([gemmi.Op(triplet) for triplet in entry["symops"]])
            found = gemmi.find_spacegroup_by_ops(operations)
            setting = None if found is None else by_symbols.get(found.hall)
        if setting is None and "(" not in entry["hermann_mauguin"]:
            name = entry["hermann_mauguin_u"].replace("_", "")
            setting = Setting(number=entry["number"], name=name, axes=name, triplets=tuple(entry["symops"]))
        if setting is not None:
            for key in ("hermann_mauguin", "universal_h_m", "short_h_m"):
                plain = _squeezed((entry[key] or "").split(":")[0])
                if plain and plain not in names:
                    _add(rare, plain, setting)
    for kind in _spglib_types():
        setting = by_symbols.get(kind.hall_symbol)
        if setting is not None and kind.number > 15:
            _add(rare, _squeezed(kind.international_full), setting)


@cache
def _spglib_types() -> list[Any]:
    """Spglib's 530 settings."""
    spglib: Any = require("spglib", "pymatgen")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its own errors
        return [spglib.get_spacegroup_type(index) for index in range(1, 531)]


def _schoenflies(numbers: dict[str, list[Setting]]) -> dict[str, tuple[Setting, ...]]:
    found: dict[str, tuple[Setting, ...]] = {}
    for kind in _spglib_types():
        found.setdefault(kind.schoenflies.lower(), tuple(numbers[str(kind.number)]))
    return found


def _add(table: dict[str, list[Setting]], name: str, setting: Setting) -> None:
    if setting not in table[name]:
        table[name].append(setting)


def _unique_b_first(settings: list[Setting]) -> list[Setting]:
    """Of the monoclinic settings of one short symbol that with the unique axis b goes first."""
    if not settings or settings[0].number > 15:
        return settings
    return sorted(settings, key=lambda s: [part == "1" for part in s.axes.split()[1:]] != [True, False, True])


def _squeezed(name: str) -> str:
    return re.sub(r"[\s_]", "", name).lower()
