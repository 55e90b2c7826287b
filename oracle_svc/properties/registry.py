"""Finding properties: shipped, installed, in a file, or trained.

A source is the name of a shipped property, the name of an entry point of the group `xenolith.properties`, a
Python file (`packing.py`, or `packing.py:attribute`), or the JSON file of a trained predictor. `all` stands
for what ships and what is installed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Final

from oracle_svc.properties.base import Property
from oracle_svc.properties.geometry import Density, VolumePerAtom
from oracle_svc.properties.trained import read_trained

__all__ = ["ALL", "ENTRY_POINTS", "is_shipped", "open_shipped", "open_source", "sources_of"]

ALL: Final = "all"
NONE: Final = "none"
ENTRY_POINTS: Final = "xenolith.properties"
_TRAINED = ("band_gap",)


def sources_of(text: str) -> tuple[str, ...]:
    """Return the sources of a comma-separated list, `all` replaced by what there is.

    Raises
    ------
    ValueError
        A name is unknown, or a file is not there.
    """
    found: dict[str, None] = {}
    for item in (part.strip() for part in text.split(",")):
        if item == ALL:
            found.update(dict.fromkeys([*_shipped(), *sorted(_installed())]))
        elif item and item != NONE:
            found[_checked(item)] = None
    return tuple(found)


def is_shipped(source: str) -> bool:
    """Whether a source is part of Xenolith, and so may run in the service's own process."""
    return source in _shipped()


def open_shipped(source: str) -> list[Property]:
    """Open a shipped source; a trained one brings its uncertainty."""
    return _shipped()[source]()


def open_source(source: str) -> list[Property]:
    """Open a source that is not shipped: this runs other people's code.

    Raises
    ------
    ValueError
        It holds no property.
    """
    if source.endswith(".json"):
        trained = read_trained(Path(source))
        return [trained, trained.uncertainty]
    if source in _installed():
        return _as_properties(next(iter(entry_points(group=ENTRY_POINTS, name=source))).load(), source)
    path, _, attribute = source.partition(":")
    return _from_file(Path(path), attribute)


def _shipped() -> dict[str, Callable[[], list[Property]]]:
    makers: dict[str, Callable[[], list[Property]]] = {
        "density": lambda: [Density()],
        "volume_per_atom": lambda: [VolumePerAtom()],
    }
    for name in _TRAINED:
        makers[name] = lambda name=name: _shipped_trained(name)  # type: ignore[misc]  # bound now, not later
    return makers


def _shipped_trained(name: str) -> list[Property]:
    trained = read_trained(Path(str(files("oracle_svc.properties"))) / "shipped" / f"{name}.json")
    return [trained, trained.uncertainty]


def _installed() -> set[str]:
    return set(entry_points(group=ENTRY_POINTS).names)


def _checked(item: str) -> str:
    if item in _shipped() or item in _installed():
        return item
    path = Path(item.partition(":")[0])
    if path.suffix not in {".py", ".json"}:
        known = ", ".join([ALL, NONE, *_shipped(), *sorted(_installed())])
        raise ValueError(f"no property {item!r}: there are {known}, or name a .py or .json file")
    if not path.is_file():
        raise ValueError(f"no property file {path}")
    return str(path.resolve()) + item[len(str(path)) :] if ":" in item else str(path.resolve())


def _from_file(path: Path, attribute: str) -> list[Property]:
    name = f"xenolith_property_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} cannot be imported")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    if attribute:
        return _as_properties(getattr(module, attribute), f"{path}:{attribute}")
    found = [value for value in vars(module).values() if _is_property(value)]
    if not found:
        raise ValueError(
            f"{path} defines no property: put @crystal_property() above a function of one crystal"
        )
    return _once(found)


def _as_properties(thing: object, source: str) -> list[Property]:
    """One property, several, or a callable that returns them."""
    if _is_property(thing):
        return [thing]  # type: ignore[list-item]  # just checked
    if callable(thing):
        return _as_properties(thing(), source)
    if isinstance(thing, Sequence) and thing and all(_is_property(item) for item in thing):
        return list(thing)
    raise ValueError(f"{source} is no property: it needs name, unit, description, digest and predict")


def _is_property(thing: object) -> bool:
    return isinstance(thing, Property) and not isinstance(thing, type)


def _once(properties: Iterable[Property]) -> list[Property]:
    return list({id(item): item for item in properties}.values())
