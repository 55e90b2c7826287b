"""The trainer's errors; each message says what to do next."""

from xenolith.errors import XenolithError

__all__ = ["CheckpointError", "ConfigError", "RatioError", "RunError", "TrainerError"]


class TrainerError(XenolithError):
    """Anything the trainer refuses or cannot do."""


class ConfigError(TrainerError):
    """A run configuration or reward spec that cannot be used."""


class RunError(TrainerError):
    """A run directory or run that cannot be used as asked."""


class CheckpointError(RunError):
    """A checkpoint that is absent, incomplete or of another run."""


class RatioError(TrainerError):
    """Trainer and generator disagree on the log-probability of the same step.

    The importance ratio of an on-policy rollout is exactly 1 before the first update; a different value
    means that the two sides hold different weights or compute different things, so learning would be noise.
    """
