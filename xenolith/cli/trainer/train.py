"""``xenolith train``: a run, from a configuration file."""

import argparse
from pathlib import Path
from typing import Any

from xenolith.cli.oracle.auditors import add_auditors, auditor_environment, auditor_ids
from xenolith.cli.output import add_json, console, write_json
from xenolith.cli.run_policies import policy_of_run
from xenolith.cli.services import add_service_arguments, services
from xenolith.cli.trainer.presets import preset, preset_names
from xenolith.cli.trainer.python_rewards import (
    is_python_reward,
    python_reward_terms,
    reward_environment,
)
from xenolith.cli.trainer.runs import ensure_succeeded, fetch, follow, outcome, summary
from xenolith.client import Client, Run, run_config
from xenolith.errors import InvalidArgumentError
from xenolith.files import read_toml
from xenolith.v1 import trainer_pb2

__all__ = [
    "add_overrides",
    "add_parser",
    "audit",
    "config_from",
    "finish",
    "reward_fields",
    "run",
    "say_if_old",
]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "train",
        help="improve a model by reinforcement learning",
        description="Start a run and follow it. Ctrl-C stops it after the step at work; --resume goes on.",
    )
    parser.add_argument(
        "config", nargs="?", type=Path, metavar="CONFIG.toml", help="fields of RunConfig, as TOML"
    )
    parser.add_argument(
        "--preset",
        choices=preset_names(),
        help="start from this configuration, which CONFIG.toml changes: that of the paper, or a quickstart's",
    )
    parser.add_argument("--resume", metavar="NAME", help="go on with a run instead of starting one")
    parser.add_argument(
        "--from-step",
        type=int,
        metavar="STEP",
        help="with --resume: go back to the checkpoint of this step, such as one before a damaged one",
    )
    parser.add_argument("--name", help="name of the run")
    parser.add_argument(
        "--detach", action="store_true", help="start and leave it to the trainer (needs --trainer)"
    )
    add_overrides(parser)
    add_service_arguments(parser, "generator", "oracle", "trainer")
    add_json(parser, "the outcome")
    parser.set_defaults(run=run)


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Add options for the fields that are changed most often."""
    group = parser.add_argument_group("run", "these override the configuration file")
    group.add_argument("--seed", type=int)
    group.add_argument(
        "--from-run",
        metavar="NAME[/STEP]",
        type=policy_of_run,
        help="start from the policy that this run has chosen, or from that of a step, and hold to it",
    )
    group.add_argument("--algorithm", help="how the policy learns: grpo, awm, nft, ram, expert, ...")
    group.add_argument("--steps", type=int, help="steps in all")
    group.add_argument("--groups", type=int, help="groups per step")
    group.add_argument("--group-size", type=int, help="samples per group")
    group.add_argument(
        "--evaluate", type=int, metavar="N", help="samples of the evaluations before and after"
    )
    group.add_argument(
        "--reward", metavar="SPEC", help="shipped reward spec, TOML file with [[terms]], or Python file"
    )
    add_auditors(group)


def run(given: argparse.Namespace) -> int:
    """Start or resume, follow, report."""
    out = console(given.json)
    if given.detach and not given.trainer:
        raise InvalidArgumentError(
            "--detach needs a trainer that stays: --trainer HOST:PORT, or 'xenolith up' first"
        )
    if given.from_step is not None and not given.resume:
        raise InvalidArgumentError("--from-step goes with --resume NAME")
    config = None if given.resume else config_from(given, _configured(given))
    environment = auditor_environment(given, out) | reward_environment(given)
    with services(given, "trainer", out, environment=environment) as client:
        if config is not None:
            audit(config, given, client)
        if given.resume:
            started = client.trainer.resume_run(given.resume, steps=given.steps, from_step=given.from_step)
        else:
            started = client.trainer.start_run(config)
        out.print(f"run {started.name}: {started.state.lower()}")
        say_if_old(started, out)
        if given.detach:
            write_json(given.json, started.to_dict())
            return 0
        return finish(given, client, started, out)


def _configured(given: argparse.Namespace) -> trainer_pb2.RunConfig:
    """Return the preset with the changes of the configuration file."""
    file = read_toml(given.config) if given.config else {}
    start = preset(given.preset, given.algorithm or file.get("algorithm")) if given.preset else {}
    return run_config(run_config(start), **file)


def audit(config: trainer_pb2.RunConfig, given: argparse.Namespace, client: Client) -> None:
    """Have the second calculators that were asked for judge the run's evaluations."""
    if given.audit:
        config.evaluation.audit_calculator_ids[:] = auditor_ids(given, client)


def say_if_old(started: Run, out: Any) -> None:
    """Say that a run was not run: the same name and configuration ended before, and nothing is repeated."""
    if started.ended:
        out.print(
            f"{started.name} with this very configuration ended before; what follows is its outcome."
            " To run it again, take another --name or remove its folder."
        )


def finish(given: argparse.Namespace, client: Client, started: Run, out: Any) -> int:
    """Follow a run to its end and report it; on Ctrl-C, ask the trainer to stop it."""
    try:
        ended = follow(client, started, out)
    except KeyboardInterrupt:
        client.trainer.stop_run(started.name)
        out.print(f"asked run {started.name} to stop; go on with: xenolith train --resume {started.name}")
        raise
    ensure_succeeded(ended)
    write_json(given.json, summary(ended))
    if given.json != "-":
        out.print(outcome(ended))
    out.print(_report(given, client, ended))
    return 0


def _report(given: argparse.Namespace, client: Client, ended: Run) -> str:
    try:
        folder = fetch(client, ended, given.runs)
    except OSError as error:  # no room of our own, as in a read-only container
        return f"report: with the trainer, in {ended.directory} ({given.runs}: {error.strerror})"
    return f"report: {folder / 'report.html'}" if folder else f"run {ended.name} has no report"


def config_from(
    given: argparse.Namespace, config: trainer_pb2.RunConfig | dict[str, Any]
) -> trainer_pb2.RunConfig:
    """Return a configuration with the command line's changes."""
    result = run_config(config)
    for name in ("name", "seed", "steps", "groups", "group_size", "algorithm"):
        if (value := getattr(given, name)) is not None:
            setattr(result, name, value)
    if given.from_run is not None:
        name, step = given.from_run
        result.from_run = name if step is None else f"{name}/{step}"
    if given.evaluate is not None:
        result.evaluation.n = given.evaluate
    if given.reward:
        result = run_config(result, **reward_fields(given.reward))
    if not result.name:
        raise InvalidArgumentError('the run needs a name: --name, or name = "..." in the configuration')
    return result


def reward_fields(reward: str) -> dict[str, Any]:
    """Return the fields of ``RunConfig`` for a reward: the name of a shipped spec, a TOML or a Python file.

    A Python file is as in `xenolith.cli.trainer.python_rewards`. A TOML file is written as the shipped specs
    are: ``[[terms]]`` as in ``RewardTerm``, and beside them ``invalid_reward``, ``suspicious_below``,
    ``combine``, ``[creativity]`` and ``[elements]``; ``name`` and ``description`` are for people.
    """
    if is_python_reward(reward):
        return {"reward_terms": python_reward_terms(Path(reward))}
    if not reward.endswith(".toml"):
        return {"reward_spec": reward}
    spec = read_toml(Path(reward))
    terms = [{**term, "normalization": _normalization(term)} for term in spec.pop("terms", [])]
    if not terms:
        raise InvalidArgumentError(f"{reward} has no [[terms]]")
    names = {"combine": "reward_combine"}
    fields = {names.get(key, key): value for key, value in spec.items() if key not in {"name", "description"}}
    return {**fields, "reward_terms": terms}


def _normalization(term: dict[str, Any]) -> str | None:
    given = term.get("normalization")
    return f"REWARD_NORMALIZATION_{given.upper()}" if given else None
