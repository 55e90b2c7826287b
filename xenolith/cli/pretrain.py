"""``xenolith pretrain``: the autoencoder, then the denoiser, from your own crystals."""

import argparse
import os
from pathlib import Path
from typing import Any

from xenolith.cli._output import add_json, console, write_json
from xenolith.convert._lazy import require
from xenolith.errors import InvalidArgumentError

__all__ = ["add_parser", "run"]

_PARTS = {"autoencoder": ("AutoencoderRun", "run_autoencoder"), "denoiser": ("DenoiserRun", "run_denoiser")}
_MORE = """
The same command on the same folder goes on where it stopped; other settings than those that the folder was
begun with are refused. On several GPUs or processes of one machine:
  torchrun --nproc-per-node 8 -m xenolith.cli pretrain autoencoder CONFIG.toml
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "pretrain",
        help="train autoencoder and denoiser from scratch",
        description="Train a part of a bundle. TensorBoard files are in its folder.",
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", choices=list(_PARTS))
    parser.add_argument(
        "config", type=Path, nargs="?", metavar="CONFIG.toml", help="settings; unknown keys are refused"
    )
    parser.add_argument("--out", type=Path, help="folder of the training (default: checkpoints/PART)")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="only go on; without CONFIG, with the folder's settings",
    )
    parser.add_argument("--device", help="in place of loop.device: cpu, cuda, cuda:1, auto")
    add_json(parser, "where the weights are")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Train, from the last checkpoint if there is one."""
    kind, train = _PARTS[given.part]
    module: Any = require(f"generator_svc.pretrain.{given.part}", "generator")
    folder = given.out or Path("checkpoints") / given.part
    getattr(module, train)(_settings(given, kind, folder), folder)
    if int(os.environ.get("RANK", "0")) == 0:  # under torchrun, one process speaks for all
        write_json(given.json, {"part": given.part, "folder": str(folder)})
        words = f"{given.part}: weights in {folder}; TensorBoard: tensorboard --logdir {folder}"
        console(given.json).print(words)
    return 0


def _settings(given: argparse.Namespace, kind: str, folder: Path) -> Any:
    settings: Any = require("generator_svc.pretrain.settings", "generator")
    begun: Any = require("generator_svc.pretrain.folder", "generator")
    if given.resume:
        stored = begun.read_run(folder, getattr(settings, kind))  # there has to be one
    elif given.config is None:
        raise InvalidArgumentError("give the settings, CONFIG.toml, or --resume to go on with those of --out")
    asked = settings.read_settings(given.config, getattr(settings, kind)) if given.config else stored
    if given.device:
        asked = asked.model_copy(update={"loop": asked.loop.model_copy(update={"device": given.device})})
    return asked
