"""Options of the clean-up after decoding, for the commands that sample."""

import argparse
from typing import Any

__all__ = ["add_cleanup", "cleanup_settings"]


def add_cleanup(parser: argparse.ArgumentParser) -> None:
    """Add ``--symmetrize`` and ``--relax-steps``."""
    parser.add_argument(
        "--symmetrize",
        type=float,
        metavar="ANGSTROM",
        help="make the symmetry found within this tolerance exact, such as 0.1",
    )
    parser.add_argument(
        "--relax-steps",
        type=int,
        metavar="N",
        help="relax each sample for at most N steps with the oracle's calculator before anything else",
    )


def cleanup_settings(given: argparse.Namespace) -> dict[str, Any]:
    """Fields of the contract's ``Cleanup`` that were asked for; empty for none."""
    asked = {"symmetrize_tolerance": given.symmetrize, "relax_steps": given.relax_steps}
    return {name: value for name, value in asked.items() if value is not None}
