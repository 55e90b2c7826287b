"""``xenolith pretrain``: the autoencoder, then the denoiser, from your own crystals."""

import argparse
from pathlib import Path
from typing import Any

from xenolith.cli._output import add_json, console, write_json
from xenolith.convert._lazy import require

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "pretrain",
        help="train autoencoder and denoiser from scratch",
        description="Train a part of a bundle. The same command on the same folder goes on where it stopped; "
        "TensorBoard files are in the folder.",
    )
    parser.add_argument("part", choices=["autoencoder", "denoiser"])
    parser.add_argument("config", type=Path, metavar="CONFIG.toml", help="settings; unknown keys are refused")
    parser.add_argument("--out", type=Path, help="folder of the training (default: checkpoints/PART)")
    add_json(parser, "where the weights are")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Train, from the last checkpoint if there is one."""
    settings: Any = require("generator_svc.pretrain.settings", "generator")
    module: Any = require(f"generator_svc.pretrain.{given.part}", "generator")
    kind, train = {
        "autoencoder": ("AutoencoderRun", "run_autoencoder"),
        "denoiser": ("DenoiserRun", "run_denoiser"),
    }[given.part]
    out = console(given.json)
    folder = given.out or Path("checkpoints") / given.part
    getattr(module, train)(settings.read_settings(given.config, getattr(settings, kind)), folder)
    write_json(given.json, {"part": given.part, "folder": str(folder)})
    out.print(f"{given.part}: weights in {folder}; TensorBoard: tensorboard --logdir {folder}")
    return 0
