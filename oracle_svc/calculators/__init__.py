"""Energy calculators: CHGNet (default), MACE, SevenNet, DFT codes, any ASE calculator, third parties' own.

`open_calculator("chgnet")`, `open_calculator("chgnet-r2scan")`, `open_calculator("mace-mpa-0")`,
`open_calculator("mace", path="folder")`, `open_calculator("sevennet-l3i5")`,
`open_calculator("ase", factory="package.module:make")`; or the name of an entry point in the group
`xenolith.calculators`, a callable that takes the settings and returns a `Calculator`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

from oracle_svc.calculators.base import Calculator, Evaluation
from oracle_svc.environments import interpreter_of

__all__ = [
    "ENTRY_POINTS",
    "Calculator",
    "Evaluation",
    "calculator_names",
    "open_calculator",
    "prepare_calculator",
    "takes_long",
]

ENTRY_POINTS: Final = "xenolith.calculators"
"""Group of entry points by which packages add calculators."""

_OWN: Final = {
    "chgnet": "oracle_svc.calculators.chgnet.calculator:ChgnetCalculator",
    "chgnet-r2scan": "oracle_svc.calculators.chgnet.r2scan:ChgnetR2scanCalculator",
    "mace": "oracle_svc.calculators.mace.calculator:MaceCalculator",
    "mace-mpa-0": "oracle_svc.calculators.mace.calculator:mace_mpa_0",
    "sevennet-l3i5": "oracle_svc.calculators.sevennet.calculator:SevennetCalculator",
    "ase": "oracle_svc.calculators.ase_calculator:AseCalculator",
    "gpaw": "oracle_svc.calculators.dft.gpaw:GpawCalculator",
    "espresso": "oracle_svc.calculators.dft.espresso:EspressoCalculator",
    "vasp": "oracle_svc.calculators.dft.vasp:VaspCalculator",
}
_BY_ID: Final = {"chgnet-0.3.0": "chgnet"}
"""Calculators that go by the id of their energies too."""
_LONG = frozenset({"gpaw", "espresso", "vasp"})


def calculator_names() -> list[str]:
    """Return the names that `open_calculator` knows."""
    return [*_OWN, *sorted(entry_points(group=ENTRY_POINTS).names - _OWN.keys())]


def takes_long(name: str, settings: Mapping[str, Any]) -> bool:
    """Whether a structure takes minutes or more, so that each is to be a job of its own.

    A plug-in says so by an attribute `long_running` of its factory; for an ASE calculator, its settings do.
    """
    if name in _OWN:
        return name in _LONG or (name == "ase" and bool(settings.get("long_running")))
    return bool(entry_points(group=ENTRY_POINTS, name=name)) and bool(
        getattr(_factory(name), "long_running", False)
    )


def open_calculator(name: str, /, **settings: Any) -> Calculator:
    """Open a calculator by name.

    Raises
    ------
    ValueError
        If the name is unknown, its library is not installed, or it does not take these settings.
    """
    try:
        calculator: Calculator = _factory(name)(**settings)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"calculator {name} needs {error.name}, which is not installed: "
            f"pip install 'xenolith[{_extra(name)}]'"
        ) from error
    except TypeError as error:
        raise ValueError(f"calculator {name} does not take these settings: {error}") from error
    return calculator


def prepare_calculator(
    name: str, settings: Mapping[str, Any], on_line: Callable[[str], None] | None = None
) -> None:
    """Fetch what a calculator needs and this machine has not: once, before processes open it.

    That is a published model, and an environment for libraries that clash with those here. `on_line` is
    called with each line that an installer prints; without it, the lines are logged.

    Raises
    ------
    ValueError
        It cannot be had.
    """
    interpreter_of(name, on_line)
    model = name if name.startswith("mace-") else settings.get("model")
    if name in _OWN and name.startswith("mace") and model is not None:
        from oracle_svc.calculators.mace.fetch import fetch

        fetch(str(model))


def _factory(name: str) -> Callable[..., Calculator]:
    name = _BY_ID.get(name, name)
    if name in _OWN:
        module, attribute = _OWN[name].split(":")
        factory: Callable[..., Calculator] = getattr(import_module(module), attribute)
        return factory
    found = entry_points(group=ENTRY_POINTS, name=name)
    if not found:
        raise ValueError(f"no calculator {name!r}: there are {', '.join(calculator_names())}")
    loaded: Callable[..., Calculator] = next(iter(found)).load()
    return loaded


def _extra(name: str) -> str:
    if name == "gpaw":
        return name
    if name.startswith("sevennet"):
        return "sevennet"
    return "mace" if name.startswith("mace") else "oracle"
