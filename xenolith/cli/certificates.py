"""``xenolith certificates``: an authority and certificates to try mutual TLS with."""

import argparse
from pathlib import Path
from typing import Any

from xenolith.cli.output import console
from xenolith.errors import AlreadyExistsError
from xenolith.optional import require

__all__ = ["add_parser", "run"]

_LOCAL = ("localhost", "127.0.0.1", "::1")
_OWNERS = ("generator", "oracle", "trainer", "client")


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "certificates",
        help="make certificates for TLS on this machine",
        description="Make an authority, and a certificate for each service and for clients, to develop with."
        " The authority's key is thrown away: for more certificates make all of them anew. Whoever runs"
        " services for others has an authority of his own.",
    )
    parser.add_argument("folder", type=Path, help="folder to write to; files that exist are kept")
    parser.add_argument(
        "--name", action="append", default=[], metavar="HOST", help="further name of the services; repeatable"
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Make them, and say how they are used."""
    trustme = require("trustme", extra="cli")
    folder: Path = given.folder
    files = [folder / "ca.pem", *(folder / f"{owner}.{end}" for owner in _OWNERS for end in ("pem", "key"))]
    if there := [str(file) for file in files if file.exists()]:
        raise AlreadyExistsError(f"{', '.join(there)} exist: choose another folder, or delete them")
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for owner in _OWNERS:
        made = authority.issue_cert(owner, *_LOCAL, *given.name)
        key = folder / f"{owner}.key"
        key.touch(mode=0o600)
        made.private_key_pem.write_to_path(str(key))
        for number, part in enumerate(made.cert_chain_pems):
            part.write_to_path(str(folder / f"{owner}.pem"), append=number > 0)
    out = console(None)
    out.print(f"made {len(files)} files in {folder}. Each process gets three variables, the oracle:")
    for name, file in (("CA", "ca.pem"), ("CERT", "oracle.pem"), ("KEY", "oracle.key")):
        out.print(f"  XENOLITH_TLS_{name}={folder / file}", markup=False, soft_wrap=True)
    return 0
