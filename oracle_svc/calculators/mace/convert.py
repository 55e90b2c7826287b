"""From a MACE checkpoint to a folder of plain data: `python -m oracle_svc.calculators.mace.convert --help`.

MACE publishes its models as Python pickles, and reading a pickle runs whatever it contains. The
oracle never does that. A checkpoint is read once, here, by somebody who trusts it, and leaves
JSON and safetensors.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from oracle_svc.calculators.mace.model import save_model

__all__ = ["convert", "main"]


def convert(checkpoint: Path, folder: Path) -> None:
    """Read a trusted checkpoint, running the code in it, and write it as data.

    Raises
    ------
    ValueError
        If it holds no MACE energy model.
    """
    from mace.tools.scripts_utils import extract_config_mace_model

    model = torch.load(checkpoint, map_location="cpu", weights_only=False)
    config = extract_config_mace_model(model)
    if "error" in config:
        raise ValueError(f"{checkpoint} cannot be used: {config['error']}")
    save_model(config, model.state_dict(), folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m oracle_svc.calculators.mace.convert", description=__doc__
    )
    parser.add_argument("checkpoint", type=Path, help="a .model file of MACE")
    parser.add_argument("folder", type=Path, help="where config.json and model.safetensors go")
    parser.add_argument("--trust", action="store_true", help="run the code in the checkpoint; required")
    chosen = parser.parse_args(arguments)
    if not chosen.trust:
        parser.error(
            f"reading {chosen.checkpoint} runs the code in it: add --trust if you trust where it is from"
        )
    convert(chosen.checkpoint, chosen.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
