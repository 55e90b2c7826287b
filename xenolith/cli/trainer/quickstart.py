"""``xenolith quickstart``: the main job, from the shipped model to a better one, in one command."""

import argparse
from typing import Any

from xenolith.cli.oracle.auditors import auditor_environment
from xenolith.cli.output import add_json, console
from xenolith.cli.services import add_service_arguments, services
from xenolith.cli.trainer.presets import preset
from xenolith.cli.trainer.python_rewards import reward_environment
from xenolith.cli.trainer.train import add_overrides, audit, config_from, finish
from xenolith.client import Client, Run
from xenolith.errors import AlreadyExistsError

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "quickstart",
        help="generate, score, train and report, in minutes on two cores",
        description=(
            "Evaluate the shipped model, improve it by advantage-weighted matching, or --algorithm grpo,"
            " evaluate again, write runs/quickstart."
        ),
    )
    parser.add_argument("--name", help="name of the run (default: quickstart)")
    add_overrides(parser)
    add_service_arguments(parser, "generator", "oracle", "trainer")
    add_json(parser, "the outcome")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Start the run, or go on with it, and follow it to its report."""
    out = console(given.json)
    config = config_from(given, _preset(given.algorithm))
    environment = auditor_environment(given, out) | reward_environment(given)
    with services(given, "trainer", out, environment=environment) as client:
        audit(config, given, client)
        return finish(given, client, _started(client, config, out), out)


def _preset(algorithm: str | None) -> dict[str, Any]:
    """Return the quickstart's own configuration for GRPO, which wants other settings, and for all others."""
    return preset("quickstart-grpo" if algorithm == "grpo" else "quickstart", algorithm)


def _started(client: Client, config: Any, out: Any) -> Run:
    try:
        run = client.trainer.start_run(config)
    except AlreadyExistsError as error:
        raise AlreadyExistsError(f"{error.message}; take another --name, or remove its folder") from error
    if run.state in {"STOPPED", "INTERRUPTED", "FAILED"}:
        out.print(f"going on with run {run.name} after step {run.steps_done}")
        return client.trainer.resume_run(run.name)
    if run.state == "SUCCEEDED":
        out.print(f"run {run.name} is done already; take another --name for a new one")
    return run
