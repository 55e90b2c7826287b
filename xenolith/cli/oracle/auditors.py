"""Which second calculators judge, and of an oracle that is started here, that it has them."""

import argparse
from typing import Any

from xenolith.cli.oracle.calculator import prepare
from xenolith.cli.services import addresses_of
from xenolith.client import Client
from xenolith.errors import InvalidArgumentError

__all__ = ["add_auditors", "auditor_environment", "auditor_ids"]


def add_auditors(parser: Any) -> None:
    """Add the option that names second calculators."""
    parser.add_argument(
        "--audit",
        action="append",
        default=[],
        metavar="NAME|HOST:PORT",
        help="have a second calculator judge too, such as chgnet-r2scan or sevennet-l3i5, or another oracle"
        " at an address; several times for several. Of an oracle that runs elsewhere: an id that it offers",
    )


def auditor_environment(given: argparse.Namespace, out: Any) -> dict[str, str]:
    """Return the variables of an oracle started here, once its auditors have all that they need.

    Raises
    ------
    InvalidArgumentError
        No calculator is named.
    ValueError
        What one needs cannot be had.
    """
    if not given.audit or not _started_here(given):
        return {}
    for name in given.audit:
        if not name.strip() or "," in name:
            raise InvalidArgumentError(f"--audit {name!r}: give one name or HOST:PORT each time")
        if ":" not in name:
            prepare(name, {}, out)
    return {"XENOLITH_ORACLE_AUDIT": ",".join(given.audit)}


def auditor_ids(given: argparse.Namespace, client: Client) -> list[str]:
    """Return the ids of the auditors that were asked for.

    Raises
    ------
    InvalidArgumentError
        One of them is what the oracle scores with.
    """
    if not given.audit or not _started_here(given):
        return list(given.audit)
    # An oracle started here has those that were asked for, whatever their ids are, and never its own one.
    described = client.oracle.describe()
    offered = [info.id for info in described.audit_calculators]
    if len(offered) < len(set(given.audit)):
        scoring = ", ".join(info.id for info in described.calculators[:1])
        raise InvalidArgumentError(
            f"--audit {' --audit '.join(given.audit)}: the oracle scores with {scoring}, and a second opinion"
            f" is another calculator's; it offers {', '.join(offered) or 'none'}"
        )
    return offered


def _started_here(given: argparse.Namespace) -> bool:
    return not ({"oracle", "trainer"} & set(addresses_of(given)))
