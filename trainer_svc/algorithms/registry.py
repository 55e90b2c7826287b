"""Algorithms by name: those that ship, and those that are installed.

A package adds one by an entry point of the group ``xenolith.algorithms`` that names a class with the members
of `trainer_svc.algorithms.base.Algorithm`; the least work is a subclass of
`trainer_svc.algorithms.forward.ForwardProcess` with a ``loss``.
"""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

from trainer_svc.algorithms.base import Algorithm

__all__ = ["ENTRY_POINTS", "algorithm_named", "algorithm_names", "with_defaults"]

ENTRY_POINTS: Final = "xenolith.algorithms"
_OWN: Final = {
    "grpo": "trainer_svc.grpo.algorithm:Grpo",
    "awm": "trainer_svc.algorithms.awm:AdvantageWeightedMatching",
    "nft": "trainer_svc.algorithms.nft:NegativeAwareFinetuning",
    "ram": "trainer_svc.algorithms.ram:RewardAdjustedMatching",
    "expert": "trainer_svc.algorithms.expert:ExpertIteration",
}
DEFAULT: Final = "grpo"


def algorithm_names() -> list[str]:
    """Name all algorithms that can be chosen."""
    return [*_OWN, *sorted(entry_points(group=ENTRY_POINTS).names - _OWN.keys())]


def algorithm_named(name: str) -> type[Algorithm]:
    """Find an algorithm.

    Raises
    ------
    ValueError
        There is none of this name; the message says which there are.
    """
    if name in _OWN:
        module, attribute = _OWN[name].split(":")
        own: type[Algorithm] = getattr(import_module(module), attribute)
        return own
    found = entry_points(group=ENTRY_POINTS, name=name)
    if not found:
        raise ValueError(f"there is no algorithm {name!r}: there are {', '.join(algorithm_names())}")
    loaded: type[Algorithm] = next(iter(found)).load()
    return loaded


def with_defaults(document: Mapping[str, Any]) -> dict[str, Any]:
    """Fill what a run's configuration leaves out with what its algorithm wants there.

    Raises
    ------
    ValueError
        There is no such algorithm.
    """
    name = document.get("algorithm") or DEFAULT
    if not isinstance(name, str):
        return dict(document)  # the model says what is wrong with it
    return _filled({**document, "algorithm": name}, algorithm_named(name).defaults)


def _filled(document: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    filled = dict(document)
    for key, wanted in defaults.items():
        given = filled.get(key)
        if given is None:
            filled[key] = wanted
        elif isinstance(given, Mapping) and isinstance(wanted, Mapping):
            filled[key] = _filled(given, wanted)
    return filled
