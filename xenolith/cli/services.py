"""The services that a command needs: those whose address is known, else started here for its duration."""

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xenolith.cli.progress import status
from xenolith.client import Client, Options
from xenolith.client.local_stack import default_folder
from xenolith.client.transport.connection import connection_from_environment
from xenolith.errors import InvalidArgumentError
from xenolith.files import read_text
from xenolith.stack import SERVICES, Stack, StackSettings

__all__ = ["add_security_arguments", "add_service_arguments", "addresses_of", "options_of", "services"]

_SECURITY = {
    "token-file": "file with the bearer token of the services",
    "tls-ca": "certificate authority (PEM) of the services; use TLS",
    "tls-cert": "certificate (PEM) to show to services that want one",
    "tls-key": "its private key (PEM)",
}
_MOST_GENERATORS = 4
_NEEDS = {"generator": ("generator",), "oracle": ("oracle",), "trainer": SERVICES}


def add_service_arguments(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add the options that say where services are, and how to reach them."""
    group = parser.add_argument_group(
        "services", "without an address, a service is started here for this command alone"
    )
    for name in names:
        default = os.environ.get(f"XENOLITH_{name.upper()}")
        group.add_argument(f"--{name}", metavar="HOST:PORT", default=default, help=f"the {name} to use")
    group.add_argument("--bundle", help="bundle of services started here, by name or folder")
    group.add_argument(
        "--reference", default="", help="reference of an oracle started here, instead of the bundle's"
    )
    group.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs (default: runs)")
    group.add_argument("--stack-dir", type=Path, default=default_folder(), help="folder of logs and cache")
    group.add_argument(
        "--cache", default="", help="cache of an oracle started here: sqlite:///FILE, redis://..., none"
    )
    add_security_arguments(group)


def add_security_arguments(group: Any) -> None:
    """Add the options that say how services are reached; each is also read from the environment."""
    for name, text in _SECURITY.items():
        variable = f"XENOLITH_{name.upper().replace('-', '_')}"
        group.add_argument(f"--{name}", type=Path, help=f"{text}; also read from {variable}")


def addresses_of(given: argparse.Namespace) -> dict[str, str]:
    """Return the addresses that were given, by name of service."""
    return {name: address for name in SERVICES if (address := getattr(given, name, None))}


def options_of(given: argparse.Namespace, **more: Any) -> Options:
    """Return the client's options."""
    found = connection_from_environment()
    if given.token_file:
        found["token"] = read_text(given.token_file).strip()
    found |= {name: path for name in ("tls_ca", "tls_cert", "tls_key") if (path := getattr(given, name))}
    return Options(**found, **more)


def _generators() -> int:
    """Return how many processes sample for a trainer: one for each core, up to four, without TLS."""
    from xenolith.serving.cores import usable_cores  # needs what services need

    return 1 if os.environ.get("XENOLITH_TLS_CERT") else min(usable_cores(), _MOST_GENERATORS)


@contextmanager
def services(
    given: argparse.Namespace,
    wanted: str,
    console: Any,
    *,
    also: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
    **options: Any,
) -> Iterator[Client]:
    """Yield a client for the service `wanted`, started here with what it needs if it has no address.

    `also` names services that this command needs beyond the usual ones; `environment` is for services that
    are started here.
    """
    addresses = addresses_of(given)
    if wanted in addresses:
        with Client.connect(**addresses, options=options_of(given, **options)) as client:
            yield client
        return
    if given.token_file or given.tls_ca or given.tls_cert:
        raise InvalidArgumentError(
            f"--token-file, --tls-ca and --tls-cert go with the address of a service: --{wanted} HOST:PORT"
        )
    missing = tuple(name for name in (*_NEEDS[wanted], *also) if name not in addresses)
    settings = StackSettings(
        services=missing,
        generators=_generators() if "trainer" in missing and "generator" in missing else 1,
        bundle=given.bundle or "",
        reference=given.reference,
        runs=given.runs,
        home=given.stack_dir,
        announced=False,
        page=True,
        cache=given.cache,
        addresses=addresses,
        environment=dict(environment or {}),
    )
    stack = Stack(settings, on_event=lambda line: console.print(line, style="dim", markup=False))
    with status(console, f"starting {', '.join(missing)} (logs in {settings.home / 'logs'})"):
        stack.start()
    try:
        with stack.client(**options) as client:
            yield client
    finally:
        with status(console, "stopping the services"):
            stack.stop()
