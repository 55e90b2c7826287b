"""``xenolith describe``: what a service that runs can do, and the most that it may be asked for."""

import argparse
from collections.abc import Iterator
from typing import Any

from xenolith.cli.output import add_json, console, table, write_json
from xenolith.cli.services import add_security_arguments, options_of
from xenolith.client import Client
from xenolith.client.results.runs import message_dict
from xenolith.errors import InvalidArgumentError
from xenolith.stack import SERVICES

__all__ = ["add_parser", "run"]

_LONGEST = 100


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "describe",
        help="what a service that runs can do, and its limits",
        description="Ask a service what it can do, and the most that a request to it may ask for.",
    )
    parser.add_argument("service", choices=SERVICES)
    parser.add_argument(
        "--at",
        metavar="HOST:PORT",
        help="where it is; default: as XENOLITH_GENERATOR, XENOLITH_ORACLE or XENOLITH_TRAINER says, else the"
        " stack that runs on this machine",
    )
    add_security_arguments(parser.add_argument_group("security"))
    add_json(parser, "the description, with nothing left out,")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Ask and show."""
    out = console(given.json)
    with _client(given) as client:
        described = message_dict(getattr(client, given.service).describe())
    write_json(given.json, described)
    if given.json != "-":
        out.print(table(given.service, ["", ""], _rows(described)))
    return 0


def _client(given: argparse.Namespace) -> Client:
    if given.at:
        return Client.connect(**{given.service: given.at}, options=options_of(given))
    if given.token_file or given.tls_ca or given.tls_cert:
        raise InvalidArgumentError(
            "--token-file, --tls-ca and --tls-cert go with the address of a service: --at HOST:PORT"
        )
    return Client()


def _rows(described: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in described.items():
        if isinstance(value, dict):
            yield from _rows(value, f"{before}{name}: ")
        else:
            items = value if isinstance(value, list) else [value]
            text = ", ".join(
                str(item.get("id") or item.get("name") or item) if isinstance(item, dict) else str(item)
                for item in items
            )
            yield f"{before}{name}", text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
