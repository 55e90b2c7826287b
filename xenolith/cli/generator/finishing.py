"""Options of finishing decoded crystals, for the commands that sample."""

import argparse
from typing import Any

__all__ = ["add_finishing", "finishing_settings"]


def add_finishing(parser: argparse.ArgumentParser) -> None:
    """Add ``--finish-steps`` and ``--finish-noise``."""
    parser.add_argument(
        "--finish-steps",
        type=int,
        metavar="N",
        help="evaluations of the bundle's finisher for each decoded crystal; 0: leave it as decoded",
    )
    parser.add_argument(
        "--finish-noise",
        type=float,
        metavar="ANGSTROM",
        help="noise that the finisher takes off: with more, atoms move further",
    )


def finishing_settings(given: argparse.Namespace) -> dict[str, Any]:
    """Fields of the contract's ``Finishing`` that were asked for; empty for none."""
    asked = {"steps": given.finish_steps, "noise": given.finish_noise}
    return {name: value for name, value in asked.items() if value is not None}
