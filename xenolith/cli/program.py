"""Parses the command line, runs the command, and says what went wrong in one line."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from xenolith.cli import certificates, describe, up
from xenolith.cli.generator import bundle, data, generate, pretrain
from xenolith.cli.oracle import audit, candidates, conformance, disorder, judge, operation, reference, score
from xenolith.cli.trainer import evaluate, manage, quickstart, report, sweep, train
from xenolith.cli.version import version
from xenolith.errors import XenolithError
from xenolith.tracing import export_spans

__all__ = ["main"]

_COMMANDS = (
    quickstart, up, generate, score, audit, candidates, disorder, judge, operation, train, sweep, evaluate,
    report, manage, describe, bundle, reference, data, pretrain, conformance, certificates,
)  # fmt: skip
_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command that `arguments` (default: the process's) ask for; return the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    end_export = _export()
    try:
        return int(given.run(given) or 0)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone: `xenolith score ... | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (XenolithError, OSError, ValueError) as error:
        if given.debug:
            raise
        print(f"xenolith {given.command}: {error}", file=sys.stderr)
        return 1
    finally:
        end_export()


def _export() -> Callable[[], None]:
    """Export spans of the calls that are made, if the environment asks for it."""
    try:
        return export_spans("cli")
    except XenolithError as error:
        print(f"xenolith: no traces of this command: {error}", file=sys.stderr)
        return lambda: None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "xenolith",
        description="Guide a generative model toward crystals that are new and likely to exist.",
    )
    parser.add_argument("--version", action="version", version=f"xenolith {version()}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of errors")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser


def _terminated(_number: int, _frame: FrameType | None) -> None:
    # Unwinds like Ctrl-C, so that the services that were started are stopped.
    raise KeyboardInterrupt
