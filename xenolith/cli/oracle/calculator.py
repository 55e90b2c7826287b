"""Which calculator an oracle that is started here measures with, and on which hull."""

import argparse
import json
import sys
from typing import Any

from xenolith.errors import InvalidArgumentError

__all__ = ["add_calculator", "calculator_environment", "prepare", "settings_of"]


def add_calculator(parser: argparse.ArgumentParser) -> None:
    """Add the options of the calculator of an oracle started here."""
    parser.add_argument(
        "--calculator",
        default="",
        metavar="NAME",
        help="calculator of an oracle started here: chgnet (default), chgnet-r2scan, sevennet-l3i5,"
        " mace-mpa-0, mace, ase, a plug-in's name; of one that runs elsewhere, the id that it must have",
    )
    parser.add_argument(
        "--calculator-settings", default="{}", metavar="JSON", help="its settings, as a JSON object"
    )
    parser.add_argument(
        "--hull",
        default="",
        metavar="DIR",
        help="its hull (xenolith judge builds one); default: the reference's if it is this calculator's, else"
        " the one built here or shipped, else none: energies alone",
    )


def settings_of(given: argparse.Namespace) -> dict[str, Any]:
    """Return the calculator's settings.

    Raises
    ------
    InvalidArgumentError
        They are no JSON object.
    """
    try:
        settings = json.loads(given.calculator_settings)
    except ValueError as error:
        raise InvalidArgumentError(f"--calculator-settings is not JSON: {error}") from error
    if not isinstance(settings, dict):
        raise InvalidArgumentError("--calculator-settings is not a JSON object")
    return settings


def calculator_environment(given: argparse.Namespace, out: Any) -> dict[str, str]:
    """Return the variables of an oracle started here, once its calculator has all that it needs.

    Raises
    ------
    InvalidArgumentError
        The settings are no JSON object.
    ValueError
        What the calculator needs cannot be had.
    """
    settings = settings_of(given)
    variables: dict[str, str] = {}
    if given.calculator:
        prepare(given.calculator, settings, out)
        variables["XENOLITH_ORACLE_CALCULATOR"] = given.calculator
        variables["XENOLITH_ORACLE_HULL"] = "any"
    if settings:
        variables["XENOLITH_ORACLE_CALCULATOR_SETTINGS"] = json.dumps(settings)
    if given.hull:
        variables["XENOLITH_ORACLE_HULL"] = given.hull
    return variables


def prepare(calculator: str, settings: dict[str, Any], out: Any) -> None:
    """Fetch what a calculator needs and this machine has not, and say what: it may take minutes.

    Raises
    ------
    ValueError
        It cannot be had.
    """
    import structlog

    from oracle_svc.calculators import prepare_calculator

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    prepare_calculator(calculator, settings, on_line=lambda line: out.print(line, style="dim", markup=False))
