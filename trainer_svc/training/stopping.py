"""When a run ends before its last step, and when its policy has collapsed."""

from collections.abc import Sequence

import numpy as np

from trainer_svc.config.run_config import EarlyStopping

__all__ = ["collapse", "over_budget", "plateau"]


def over_budget(
    settings: EarlyStopping, *, training_s: float, oracle_calls: int, calculator_evaluations: int
) -> str:
    """Say which limit is met, empty if none.

    Parameters
    ----------
    settings
        Of the run.
    training_s
        Seconds that all steps so far took.
    oracle_calls
        Structures scored in training and in evaluations during it.
    calculator_evaluations
        Energies that the oracle's calculator computed for the run.
    """
    if settings.max_training_s is not None and training_s >= settings.max_training_s:
        return f"{training_s:.0f} s of training are over the limit of {settings.max_training_s:.0f} s"
    if settings.max_oracle_calls is not None and oracle_calls >= settings.max_oracle_calls:
        return f"{oracle_calls} oracle calls reach the limit of {settings.max_oracle_calls}"
    limit = settings.max_calculator_evaluations
    if limit is not None and calculator_evaluations >= limit:
        return f"{calculator_evaluations} evaluations by the calculator reach the limit of {limit}"
    return ""


def collapse(settings: EarlyStopping, unique: float | None, systems: Sequence[float] = ()) -> str:
    """Say how a policy has lost its variety, empty if it has not.

    Parameters
    ----------
    settings
        Of the run.
    unique
        Share of unique samples of the latest step, in [0, 1]; None if it was not measured.
    systems
        Distinct chemical systems per sample of every step so far.
    """
    if settings.min_unique is not None and unique is not None and unique < settings.min_unique:
        return (
            f"only {unique:.0%} of the step's samples are unique, less than {settings.min_unique:.0%}:"
            " the policy repeats itself"
        )
    window = settings.window
    if settings.min_systems is None or len(systems) < 2 * window:
        return ""
    first, now = float(np.mean(systems[:window])), float(np.mean(systems[-window:]))
    if now < settings.min_systems * first:
        return (
            f"the samples of the last {window} steps have {now / first:.0%} of the chemical systems of the"
            f" first, less than {settings.min_systems:.0%}"
        )
    return ""


def plateau(settings: EarlyStopping, reward_means: list[float]) -> str:
    """Say that the reward has ceased to rise, empty if it has not."""
    if settings.patience == 0 or len(reward_means) < settings.window:
        return ""
    averages = np.convolve(reward_means, np.full(settings.window, 1.0 / settings.window), mode="valid")
    best, since = averages[0], 0
    for average in averages[1:]:
        best, since = (average, 0) if average > best + settings.min_delta else (best, since + 1)
    if since >= settings.patience:
        return f"the reward has not risen for {since} steps; its best average was {best:.3f}"
    return ""
