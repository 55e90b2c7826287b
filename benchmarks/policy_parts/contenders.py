"""The configurations that are compared: each algorithm, the quickstart's GRPO, and the paper's."""

from __future__ import annotations

from typing import Any

from xenolith.cli.trainer.presets import preset

DEFAULT = "awm"
"""What the quickstart learns by."""
PAPER, GRPO = "paper", "grpo"
CONTENDERS = (DEFAULT, PAPER, GRPO, "nft", "ram", "expert")


def contender(name: str) -> dict[str, Any]:
    """Fields of the ``RunConfig`` of one of `CONTENDERS`, but for its name, seed, steps and evaluation."""
    own = preset({PAPER: "paper", GRPO: "quickstart-grpo"}.get(name, "quickstart"))
    for field in ("name", "seed", "steps", "evaluation", "early_stopping"):
        own.pop(field, None)
    return own if name == PAPER else {**own, "algorithm": name}


def samples_per_step(fields: dict[str, Any]) -> int:
    """Structures that one step scores."""
    return int(fields["groups"]) * int(fields["group_size"])
