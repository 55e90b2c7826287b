"""``xenolith operation``: scorings that outlive their call."""

import argparse
from typing import Any

from xenolith.cli.oracle.scores_table import show_scores
from xenolith.cli.output import add_json, console, table, write_json
from xenolith.cli.progress import Progress
from xenolith.cli.services import add_service_arguments, services
from xenolith.client import Operation, OperationHandle, Scores
from xenolith.errors import InvalidArgumentError

__all__ = ["add_parser", "follow_operation"]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "operation",
        help="follow a scoring that was submitted: list, show, wait, cancel",
        description="Follow what was submitted with 'xenolith score --submit', such as hours of DFT.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text, run in (
        ("list", "all that the oracle has, of all callers, newest first", _list),
        ("show", "how far it is, and what is finished of it", _show),
        ("wait", "wait for its end and show the scores", _wait),
        ("cancel", "ask it to stop; what is measured stays", _cancel),
    ):
        action = actions.add_parser(name, help=text, description=text)
        if name != "list":
            action.add_argument("id", metavar="ID", help="printed by 'xenolith score --submit'")
        add_service_arguments(action, "oracle")
        add_json(action, "the operation and its scores")
        action.set_defaults(run=run)


def follow_operation(handle: OperationHandle, out: Any) -> Scores:
    """Show the progress of an operation until it is done; return its scores."""
    with Progress(out) as progress:
        for now in handle.progress():
            progress.update(
                "structures", now.structures_done, now.structures_total, "" if now.done else now.state.lower()
            )
    return handle.wait()


def _list(given: argparse.Namespace) -> int:
    out = console(given.json)
    found: list[Operation] = []
    with services(_checked(given), "oracle", out) as client:
        token, more = "", True
        while more:
            page = client.oracle.list_operations(page_token=token)
            found += page.operations
            token = page.next_page_token
            more = bool(token)
    write_json(given.json, [_plain(operation) for operation in found])
    if given.json != "-":
        rows = [(one.id, one.state, f"{one.structures_done}/{one.structures_total}") for one in found]
        out.print(table("", ["operation", "state", "structures"], rows))
    return 0


def _show(given: argparse.Namespace) -> int:
    out = console(given.json)
    with services(_checked(given), "oracle", out) as client:
        _tell(given, out, client.oracle.get_operation(given.id, partial=True))
    return 0


def _cancel(given: argparse.Namespace) -> int:
    out = console(given.json)
    with services(_checked(given), "oracle", out) as client:
        _tell(given, out, client.oracle.cancel_operation(given.id))
    return 0


def _wait(given: argparse.Namespace) -> int:
    out = console(given.json)
    with services(_checked(given), "oracle", out) as client:
        handle = client.oracle.operation(given.id)
        scores = follow_operation(handle, out)
        _tell(given, out, handle.operation)
    return 0 if any(score.ok for score in scores) else 1


def _tell(given: argparse.Namespace, out: Any, now: Operation) -> None:
    write_json(given.json, {**_plain(now), "scores": now.scores.to_dicts() if now.scores else None})
    if given.json == "-":
        return
    if now.scores is not None:
        show_scores(out, now.scores)
    out.print(f"operation {now.id}: {now.state}, {now.structures_done} of {now.structures_total} structures")
    for warning in now.warnings:
        out.print(f"warning: {warning}", markup=False)
    if now.error is not None:
        out.print(f"error: {now.error}", markup=False)


def _plain(now: Operation) -> dict[str, Any]:
    return {
        "id": now.id,
        "state": now.state,
        "structures_done": now.structures_done,
        "structures_total": now.structures_total,
        "warnings": list(now.warnings),
        "error": str(now.error) if now.error else None,
    }


def _checked(given: argparse.Namespace) -> argparse.Namespace:
    if not given.oracle:
        raise InvalidArgumentError(
            "an operation lives in an oracle that stays: --oracle HOST:PORT, or XENOLITH_ORACLE"
        )
    return given
