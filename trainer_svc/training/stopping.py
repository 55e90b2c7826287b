"""When a run ends before its last step."""

import numpy as np

from trainer_svc.config.run_config import EarlyStopping

__all__ = ["reason_to_stop"]


def reason_to_stop(
    settings: EarlyStopping, reward_means: list[float], unique: float, training_s: float = 0.0
) -> str:
    """Say why to stop after the latest step, empty to go on.

    Parameters
    ----------
    settings
        Of the run.
    reward_means
        Mean reward of every step so far.
    unique
        Share of unique samples of the latest step, in [0, 1].
    training_s
        Seconds that all steps so far took.
    """
    if settings.max_training_s is not None and training_s >= settings.max_training_s:
        return f"{training_s:.0f} s of training are over the limit of {settings.max_training_s:.0f} s"
    if settings.min_unique is not None and unique < settings.min_unique:
        return (
            f"only {unique:.0%} of the step's samples are unique, less than {settings.min_unique:.0%}:"
            " the policy repeats itself"
        )
    if settings.patience == 0 or len(reward_means) < settings.window:
        return ""
    averages = np.convolve(reward_means, np.full(settings.window, 1.0 / settings.window), mode="valid")
    best, since = averages[0], 0
    for average in averages[1:]:
        best, since = (average, 0) if average > best + settings.min_delta else (best, since + 1)
    if since >= settings.patience:
        return f"the reward has not risen for {since} steps; its best average was {best:.3f}"
    return ""
