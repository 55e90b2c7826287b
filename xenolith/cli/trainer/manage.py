"""``xenolith runs``: the runs of a trainer that stays: listed, stopped, deleted."""

import argparse
from typing import Any

from xenolith.cli.output import add_json, console, table, write_json
from xenolith.cli.services import add_service_arguments, services
from xenolith.client import Client
from xenolith.errors import InvalidArgumentError

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "runs",
        help="the runs of a trainer: list, stop, delete",
        description="Manage the runs of a trainer that stays.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text, run in (
        ("list", "all runs, newest first", _list),
        ("stop", "stop a run after the step at work, or take it out of the queue", _stop),
        ("delete", "remove a run with all its files", _delete),
    ):
        action = actions.add_parser(name, help=text, description=text)
        if name != "list":
            action.add_argument("name", metavar="RUN")
        add_service_arguments(action, "trainer")
        add_json(action, "the runs" if name == "list" else "the outcome")
        action.set_defaults(run=run)


def _list(given: argparse.Namespace) -> int:
    out = console(given.json)
    with services(_checked(given), "trainer", out) as client:
        runs = _all_runs(client)
    write_json(given.json, [run.to_dict() for run in runs])
    if given.json != "-":
        rows = [(run.name, run.state, f"{run.steps_done}/{run.steps_total}", run.message) for run in runs]
        out.print(table("", ["run", "state", "steps", ""], rows))
    return 0


def _all_runs(client: Client) -> list[Any]:
    page = client.trainer.list_runs()
    runs = list(page.runs)
    while page.next_page_token:
        page = client.trainer.list_runs(page_token=page.next_page_token)
        runs += page.runs
    return runs


def _stop(given: argparse.Namespace) -> int:
    out = console(given.json)
    with services(_checked(given), "trainer", out) as client:
        run = client.trainer.stop_run(given.name)
    write_json(given.json, run.to_dict())
    if run.ended:
        out.print(f"run {run.name}: {run.state.lower()}")
    else:
        out.print(f"run {run.name} stops after the step at work")
    return 0


def _delete(given: argparse.Namespace) -> int:
    out = console(given.json)
    with services(_checked(given), "trainer", out) as client:
        client.trainer.delete_run(given.name)
    write_json(given.json, {"deleted": given.name})
    out.print(f"run {given.name} is deleted")
    return 0


def _checked(given: argparse.Namespace) -> argparse.Namespace:
    if not given.trainer:
        raise InvalidArgumentError(
            "runs are managed by a trainer that stays: --trainer HOST:PORT, or XENOLITH_TRAINER"
        )
    return given
