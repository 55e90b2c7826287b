"""``xenolith pretrain``: autoencoder, denoiser, finisher and property predictors, from your own crystals."""

import argparse
import logging
import os
from pathlib import Path
from typing import Any

from xenolith.cli.output import add_json, console, write_json
from xenolith.errors import InvalidArgumentError
from xenolith.files import read_toml
from xenolith.optional import require

__all__ = ["add_parser", "run"]

_PARTS = {
    "autoencoder": ("AutoencoderRun", "run_autoencoder"),
    "denoiser": ("DenoiserRun", "run_denoiser"),
    "finisher": ("FinisherRun", "run_finisher"),
    "property": ("PropertyRun", "run_property"),
}
_MORE = """
The same command on the same folder goes on where it stopped; other settings than those that the folder was
begun with are refused. On several GPUs or processes of one machine:
  torchrun --nproc-per-node 8 -m xenolith.cli pretrain autoencoder CONFIG.toml
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "pretrain",
        help="train autoencoder, denoiser, finisher and property predictors from scratch",
        description="Train a part of a bundle. TensorBoard files are in its folder.",
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", choices=list(_PARTS))
    parser.add_argument(
        "config", type=Path, nargs="?", metavar="CONFIG.toml", help="settings; unknown keys are refused"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="folder of the training (default: checkpoints/PART, for a property its column)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="only go on; without CONFIG, with the folder's settings",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help="train for so long by the clock, in place of loop.epochs; the state is saved every minute",
    )
    parser.add_argument("--device", help="in place of loop.device: cpu, cuda, cuda:1, auto")
    group = parser.add_argument_group("property", "in place of the same keys of CONFIG, or without one")
    group.add_argument("--column", help="labels to predict, such as band_gap")
    group.add_argument("--data", help="data.path: file, folder or name of a set (default: mp-20)")
    group.add_argument("--autoencoder", help="folder of a finished autoencoder run, or a bundle")
    group.add_argument("--unit", help="of the labels")
    add_json(parser, "where the weights are")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Train, from the last checkpoint if there is one."""
    kind, train = _PARTS[given.part]
    module: Any = require(f"generator_svc.pretrain.{given.part}", "generator")
    folder = given.out or Path("checkpoints") / (given.column or given.part)
    first = int(os.environ.get("RANK", "0")) == 0  # under torchrun, one process speaks for all
    if not first:
        structlog: Any = require("structlog", "generator")
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    getattr(module, train)(_settings(given, kind, folder), folder)
    if first:
        write_json(given.json, {"part": given.part, "folder": str(folder)})
        words = f"{given.part}: weights in {folder}; TensorBoard: tensorboard --logdir {folder}"
        console(given.json).print(words)
    return 0


def _settings(given: argparse.Namespace, kind: str, folder: Path) -> Any:
    settings: Any = require("generator_svc.storage.run_settings", "generator")
    begun: Any = require("generator_svc.storage.folder", "generator")
    model, changes = getattr(settings, kind), _changes(given)
    if given.resume:
        asked = begun.read_run(folder, model)  # there has to be one
        if given.config is None:
            return settings.check_settings(
                _merged(asked.model_dump(mode="json"), changes), model, str(folder)
            )
    if given.config is None and not given.column:
        needed = "--column NAME" if given.part == "property" else "the settings, CONFIG.toml"
        raise InvalidArgumentError(f"give {needed}, or --resume to go on with those of --out")
    document = read_toml(given.config) if given.config else {"data": {"path": "mp-20"}}
    origin = str(given.config or "the command line")
    return settings.check_settings(_merged(document, changes), model, origin)


def _changes(given: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of the command line that replace those of the file."""
    own = {name: getattr(given, name) for name in ("column", "autoencoder", "unit") if getattr(given, name)}
    if given.data:
        own["data"] = {"path": given.data}
    if own and given.part != "property":
        raise InvalidArgumentError(f"--{next(iter(own))} goes with pretrain property; use CONFIG.toml")
    loop = {name: getattr(given, name) for name in ("device", "minutes") if getattr(given, name) is not None}
    return own | ({"loop": loop} if loop else {})


def _merged(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(document)
    for key, value in changes.items():
        there = merged.get(key)
        merged[key] = {**there, **value} if isinstance(there, dict) and isinstance(value, dict) else value
    return merged
