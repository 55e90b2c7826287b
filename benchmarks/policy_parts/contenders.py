"""The configurations that are compared: each algorithm, the quickstart's GRPO, and the paper's."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any

DEFAULT = "awm"
"""What the quickstart learns by."""
PAPER, GRPO = "paper", "grpo"
CONTENDERS = (DEFAULT, PAPER, GRPO, "nft", "ram", "expert")

_PAPER: dict[str, Any] = {
    "algorithm": "grpo",
    "reward_spec": "paper",
    "groups": 5,
    "group_size": 64,
    "sampler": {"steps": 50, "eta": 1.0},
    "optimizer": {
        "learning_rate": 1e-5,
        "minibatches": 2,
        "timestep_window": 1.0,
        "timestep_fraction": 1.0,
        "normalize_ratio": False,
        "clip_low": 1e-3,
        "clip_high": 1e-3,
        "kl_weight": 1.0,
        "max_grad_norm": 1.0,
    },
}
"""Hyper-parameters of arXiv 2511.07158's code, revision 6e86960. Its divergence is to the policy that
sampled, whose gradient is 0 in the first of two minibatches; here it is to the base policy."""


def contender(name: str) -> dict[str, Any]:
    """Fields of the ``RunConfig`` of one of `CONTENDERS`, but for its name, seed, steps and evaluation."""
    if name == PAPER:
        return {**_PAPER, "atom_counts": {"max": 20}}
    file = "quickstart-grpo.toml" if name == GRPO else "quickstart.toml"
    preset = tomllib.loads(resources.files("xenolith.cli.trainer").joinpath(file).read_text())
    for own in ("name", "seed", "steps", "evaluation", "early_stopping"):
        preset.pop(own, None)
    return {**preset, "algorithm": name}


def samples_per_step(fields: dict[str, Any]) -> int:
    """Structures that one step scores."""
    return int(fields["groups"]) * int(fields["group_size"])
