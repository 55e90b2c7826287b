"""The trainer's errors; each message says what to do next."""

from xenolith.errors import (
    AlreadyExistsError,
    DataLossError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
)

__all__ = [
    "BrokenRunError",
    "CheckpointError",
    "ConfigError",
    "DiskFullError",
    "NoSuchRunError",
    "RatioError",
    "RunExistsError",
    "RunLockedError",
    "RunStateError",
    "SourceChangedError",
]


class ConfigError(InvalidArgumentError):
    """A run configuration or reward spec that cannot be used."""


class NoSuchRunError(NotFoundError):
    """No run has this name."""


class RunExistsError(AlreadyExistsError):
    """The name is taken by a run with another configuration."""


class RunStateError(FailedPreconditionError):
    """The run is not in a state that allows what was asked."""


class RunLockedError(FailedPreconditionError):
    """Another trainer works on the run."""


class BrokenRunError(DataLossError):
    """Files of a run that cannot be read; the run is set aside until somebody has put them right."""


class DiskFullError(FailedPreconditionError):
    """No room for what a run writes; free some and resume it."""


class SourceChangedError(FailedPreconditionError):
    """Bundle, calculator or reference are not those that the run began with, so numbers would not compare."""


class CheckpointError(DataLossError):
    """A checkpoint that is incomplete or does not fit its run."""


class RatioError(InternalError):
    """Trainer and generator disagree on the log-probability of the same step.

    The importance ratio of an on-policy rollout is exactly 1 before the first update; a different value
    means that the two sides hold different weights or compute different things, so learning would be noise.
    """
