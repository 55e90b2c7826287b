"""``xenolith sweep``: a run for each of several weights of the reward and each of several seeds."""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xenolith.analysis.fronts import Outcome, conclusion, standings
from xenolith.analysis.sweep_page import sweep_page
from xenolith.cli.output import add_json, console, table, write_json
from xenolith.cli.services import add_service_arguments, services
from xenolith.cli.trainer.presets import preset
from xenolith.cli.trainer.runs import follow
from xenolith.client import Client, Run, run_config
from xenolith.contract.evaluations import estimate_of
from xenolith.errors import AbortedError, InvalidArgumentError
from xenolith.files import write_bytes
from xenolith.optional import require
from xenolith.v1 import trainer_pb2

if TYPE_CHECKING:
    from xenolith.cli.trainer.sweep_file import SweepFile

__all__ = ["add_parser", "run"]

_SHARES = ("novel", "metastable", "msun", "unique")


@dataclass(frozen=True, kw_only=True)
class _Planned:
    """One run of a sweep."""

    setting: str
    seed: int
    config: trainer_pb2.RunConfig = field(repr=False)


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "sweep",
        help="vary the weights of a reward over a grid, and see whether one setting is robust",
        description=(
            "Train once for each combination of the reward's weights and each seed, one run after the other."
            " The same command goes on where it was stopped. Writes sweep.html and sweep.json, anew after"
            " every run."
        ),
    )
    parser.add_argument("config", type=Path, metavar="SWEEP.toml", help="name, seeds, weights, run")
    parser.add_argument("--out", type=Path, help="folder of the page (default: sweeps/NAME)")
    parser.add_argument("--list", action="store_true", help="say which runs it has, and start none")
    add_service_arguments(parser, "generator", "oracle", "trainer")
    add_json(parser, "the outcome")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Run what is not done yet, and write the page."""
    files: Any = require("xenolith.cli.trainer.sweep_file", "cli")
    out, sweep = console(given.json), files.read_sweep(given.config)
    folder = given.out or Path("sweeps") / sweep.name
    with services(given, "trainer", out) as client:
        planned = _plan(sweep, client)
        if given.list:
            rows = [(one.config.name, one.setting, str(one.seed)) for one in planned]
            out.print(table(f"sweep {sweep.name}", ["run", "setting", "seed"], rows))
            return 0
        ended: list[tuple[_Planned, Run]] = []
        for place, one in enumerate(planned):
            out.print(
                f"run {place + 1} of {len(planned)}: {one.config.name} ({one.setting}, seed {one.seed})"
            )
            ended.append((one, _through(one, client, out)))
            document = _write(folder, sweep, planned, ended)
    write_json(given.json, document)
    out.print(document["conclusion"])
    out.print(f"page: {folder / 'sweep.html'}")
    failed = [found.name for _, found in ended if found.state != "SUCCEEDED"]
    if failed:
        raise AbortedError(f"{', '.join(failed)} did not succeed; the same command goes on with them")
    return 0


def _plan(sweep: "SweepFile", client: Client) -> list[_Planned]:
    """Return the runs, all settings of a seed before the next one.

    Raises
    ------
    InvalidArgumentError
        The reward has no term of a name that is to be varied.
    """
    start = run_config(run_config(preset(sweep.preset)), **sweep.run)
    start.name = sweep.name
    # Resolved by the trainer, which has the terms of a reward that is given by name.
    resolved = client.trainer.start_run(start, validate_only=True).proto.config
    names = [term.name for term in resolved.reward_terms]
    for name in sweep.weights:
        if name not in names:
            raise InvalidArgumentError(f"weights.{name}: the reward's terms are {', '.join(names)}")
    return [
        _Planned(setting=setting, seed=seed, config=_config(resolved, sweep, place, weights, seed))
        for seed in sweep.seeds
        for place, (setting, weights) in enumerate(_settings(sweep))
    ]


def _settings(sweep: "SweepFile") -> Iterator[tuple[str, dict[str, float]]]:
    for values in itertools.product(*sweep.weights.values()):
        weights = dict(zip(sweep.weights, values, strict=True))
        yield ", ".join(f"{name} {value:g}" for name, value in weights.items()), weights


def _config(
    resolved: trainer_pb2.RunConfig, sweep: "SweepFile", place: int, weights: dict[str, float], seed: int
) -> trainer_pb2.RunConfig:
    config = trainer_pb2.RunConfig()
    config.CopyFrom(resolved)
    config.name, config.seed = f"{sweep.name}-{place:02d}-seed{seed}", seed
    # It is no shipped reward any more.
    config.reward_spec = "swept"
    for term in config.reward_terms:
        term.weight = weights.get(term.name, term.weight)
    config.labels["sweep"] = sweep.name
    return config


def _through(one: _Planned, client: Client, out: Any) -> Run:
    """Start a run, or go on with it, and follow it to its end."""
    found = client.trainer.start_run(one.config)
    if found.state == "SUCCEEDED":
        return found
    if found.state in {"STOPPED", "INTERRUPTED", "FAILED"}:
        found = client.trainer.resume_run(found.name)
    try:
        ended = follow(client, found, out)
    except KeyboardInterrupt:
        client.trainer.stop_run(found.name)
        raise
    if ended.message:
        out.print(f"{ended.name}: {ended.state.lower()}: {ended.message}")
    return ended


def _write(
    folder: Path, sweep: "SweepFile", planned: Sequence[_Planned], ended: Sequence[tuple[_Planned, Run]]
) -> dict[str, Any]:
    """Write page and document; return the document."""
    tuned, base = (
        [outcome for one, run in ended if (outcome := _outcome(one, run, which))]
        for which in ("tuned", "base")
    )
    settings, seeds = len({one.setting for one in planned}), len(sweep.seeds)
    found = standings(tuned)
    document: dict[str, Any] = {
        "name": sweep.name,
        "settings": settings,
        "seeds": list(sweep.seeds),
        "conclusion": conclusion(found, seeds, settings * seeds - len(tuned)),
        "robust": [standing.setting for standing in found if standing.robust(seeds)],
        "standings": [vars(standing) for standing in found],
        "runs": [_row(one, run) for one, run in ended],
    }
    page = sweep_page(sweep.name, tuned, base, settings=settings, seeds=seeds)
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / "sweep.html", page.encode())
    write_json(str(folder / "sweep.json"), document)
    return document


def _outcome(one: _Planned, run: Run, which: str) -> Outcome | None:
    if not run.proto.HasField("tuned" if which == "tuned" else "base"):
        return None
    shares = {name: estimate_of(getattr(run.proto, which), name) for name in _SHARES}
    if any(share is None for share in shares.values()):
        return None
    return Outcome(setting=one.setting, seed=one.seed, **shares)  # type: ignore[arg-type]  # none is None


def _row(one: _Planned, run: Run) -> dict[str, Any]:
    tuned = _outcome(one, run, "tuned")
    return {
        "run": run.name,
        "setting": one.setting,
        "seed": one.seed,
        "state": run.state,
        "steps": run.steps_done,
        "training_oracle_calls": run.proto.training_oracle_calls,
        "tuned": None if tuned is None else {name: vars(getattr(tuned, name)) for name in _SHARES},
    }
