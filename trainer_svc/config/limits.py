"""The most that a caller may ask of a trainer, whatever the run's own rules allow."""

from dataclasses import dataclass
from operator import attrgetter

from trainer_svc.config.run_config import EvaluationSettings, RunConfig
from xenolith.errors import invalid_field

__all__ = ["RunLimits"]

_OF_RUN = {
    "steps": "steps",
    "groups": "samples",
    "group_size": "samples",
    "sampler.steps": "denoising_steps",
    "optimizer.passes": "passes",
    "optimizer.minibatches": "passes",
    "replay.size": "samples",
    "replay.per_step": "samples",
    "adapter_rank": "adapter_rank",
}
_OF_EVALUATION = {
    "n": "samples",
    "n_during": "samples",
    "bootstrap": "bootstrap",
    "sampler.steps": "denoising_steps",
}
"""Ceiling of each field, by its path in a run's configuration and in the settings of an evaluation."""


@dataclass(frozen=True, kw_only=True)
class RunLimits:
    """Ceilings on the numbers of runs and evaluations."""

    steps: int = 100_000
    """Steps of a run."""
    samples: int = 20_000
    """Structures of a step, and of each policy in an evaluation."""
    bootstrap: int = 20_000
    """Resamplings for an interval."""
    denoising_steps: int = 1_000
    """Denoising steps of a sample."""
    passes: int = 1_000
    """Passes over a step's samples, and minibatches of a pass."""
    adapter_rank: int = 1_024
    """Rank of an adapter."""

    def check_run(self, config: RunConfig) -> None:
        """Refuse a run that asks for more.

        Raises
        ------
        InvalidArgumentError
            It does; names the field.
        """
        for field, limit in _OF_RUN.items():
            _at_most(f"config.{field}", attrgetter(field)(config), getattr(self, limit))
        _at_most("config.groups", config.groups * config.group_size, self.samples)
        self.check_evaluation(config.evaluation, "config.evaluation")

    def check_evaluation(self, settings: EvaluationSettings, path: str) -> None:
        """Refuse an evaluation that asks for more.

        Raises
        ------
        InvalidArgumentError
            It does; names the field below `path`.
        """
        for field, limit in _OF_EVALUATION.items():
            _at_most(f"{path}.{field}", attrgetter(field)(settings) or 0, getattr(self, limit))
        _at_most(f"{path}.n", settings.n * max(1, len(settings.seeds)), self.samples)

    def check_steps(self, steps: int, field: str) -> None:
        """Refuse more steps than a run may have.

        Raises
        ------
        InvalidArgumentError
            They are more; names the field.
        """
        _at_most(field, steps, self.steps)

    def described(self) -> dict[str, float]:
        """Return the ceilings by the path of the field in a request."""
        return {
            "steps": self.steps,
            **{f"config.{field}": getattr(self, limit) for field, limit in _OF_RUN.items()},
            **{
                f"{path}.{field}": getattr(self, limit)
                for path in ("config.evaluation", "settings")
                for field, limit in _OF_EVALUATION.items()
            },
        }


def _at_most(field: str, value: int, most: int) -> None:
    if value > most:
        raise invalid_field(field, f"comes to {value}, more than this trainer's {most}")
