"""``xenolith up``: the three services on this machine, until Ctrl-C."""

import argparse
import threading
from pathlib import Path
from typing import Any

from xenolith.cli.oracle.calculator import add_calculator, calculator_environment
from xenolith.cli.output import add_json, console, write_json
from xenolith.client.local_stack import default_folder
from xenolith.stack import SERVICES, Stack, StackSettings

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "up",
        help="start the three services on this machine",
        description="Start the services; Ctrl-C stops them.",
    )
    parser.add_argument(
        "services", nargs="*", metavar="SERVICE", help=f"of {', '.join(SERVICES)} (default: all)"
    )
    parser.add_argument("--bundle", default="", help="bundle, by name or folder")
    parser.add_argument(
        "--reference", default="", help="folders of references, comma-separated; see reference build"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs (default: runs)")
    parser.add_argument("--stack-dir", type=Path, default=default_folder(), help="folder of logs and cache")
    parser.add_argument("--cache", default="", help="cache of the oracle: sqlite:///FILE, redis://..., none")
    parser.add_argument(
        "--hang-s",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long a service may leave its health checks without an answer until it is ended and started"
        " again (default: 60; 0: for ever)",
    )
    add_calculator(parser)
    for name in SERVICES:
        parser.add_argument(f"--{name}-module", metavar="MODULE", help=f"run this instead of {name}_svc")
        if name != "trainer":
            parser.add_argument(f"--{name}", metavar="HOST:PORT", help=f"the trainer uses this {name}")
    add_json(parser, "addresses, process ids and log files")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Start, report, wait."""
    out = console(given.json)
    stack = Stack(_settings(given, out), on_event=lambda line: out.print(line, markup=False))
    with stack:
        # Whatever interrupts from here on, also while the lines are written, is the wish to stop.
        try:
            write_json(given.json, stack.to_dict())
            out.print("all services serve; Ctrl-C stops them")
            threading.Event().wait()
        except KeyboardInterrupt:
            # A console that was interrupted in the middle of a line keeps all that follows to itself.
            out = console(given.json)
            out.print("stopping")
    out.print("stopped")
    return 0


def _settings(given: argparse.Namespace, out: Any) -> StackSettings:
    if unknown := set(given.services) - set(SERVICES):
        raise ValueError(f"there is no service {', '.join(sorted(unknown))}; there are {', '.join(SERVICES)}")
    elsewhere = {name: address for name in SERVICES if (address := getattr(given, name, None))}
    chosen = tuple(given.services or [name for name in SERVICES if name not in elsewhere])
    return StackSettings(
        services=chosen,
        bundle=given.bundle,
        reference=given.reference,
        runs=given.runs,
        home=given.stack_dir,
        cache=given.cache,
        modules={name: m for name in SERVICES if (m := getattr(given, f"{name}_module"))},
        addresses=elsewhere,
        prefer_default_ports=True,
        hang_s=given.hang_s,
        page=True,
        environment=calculator_environment(given, out) if "oracle" in chosen else {},
    )
