"""Policies of runs as people write them."""

import argparse

__all__ = ["policy_of_run"]


def policy_of_run(text: str) -> tuple[str, int | None]:
    """Read ``NAME`` or ``NAME/STEP``; without a step, the policy that the run has chosen is meant."""
    name, slash, step = text.partition("/")
    if not name or (slash and not step.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME or NAME/STEP, such as quickstart/40")
    return name, int(step) if slash else None
