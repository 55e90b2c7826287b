"""The most that a caller may ask of a trainer, whatever the run's own rules allow."""

from dataclasses import dataclass

from trainer_svc.config.run_config import EvaluationSettings, RunConfig
from xenolith.errors import invalid_field

__all__ = ["RunLimits"]


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
        self.check_steps(config.steps, "config.steps")
        for field, value, most in (
            ("groups", config.groups, self.samples),
            ("group_size", config.group_size, self.samples),
            ("groups", config.groups * config.group_size, self.samples),
            ("sampler.steps", config.sampler.steps, self.denoising_steps),
            ("optimizer.passes", config.optimizer.passes, self.passes),
            ("optimizer.minibatches", config.optimizer.minibatches, self.passes),
            ("replay.size", config.replay.size, self.samples),
            ("replay.per_step", config.replay.per_step, self.samples),
            ("adapter_rank", config.adapter_rank, self.adapter_rank),
        ):
            _at_most(f"config.{field}", value, most)
        self.check_evaluation(config.evaluation, "config.evaluation")

    def check_evaluation(self, settings: EvaluationSettings, path: str) -> None:
        """Refuse an evaluation that asks for more.

        Raises
        ------
        InvalidArgumentError
            It does; names the field below `path`.
        """
        for field, value, most in (
            ("n", settings.n * max(1, len(settings.seeds)), self.samples),
            ("n_during", settings.n_during, self.samples),
            ("bootstrap", settings.bootstrap, self.bootstrap),
            ("sampler.steps", settings.sampler.steps or 0, self.denoising_steps),
        ):
            _at_most(f"{path}.{field}", value, most)

    def check_steps(self, steps: int, field: str) -> None:
        """Refuse more steps than a run may have.

        Raises
        ------
        InvalidArgumentError
            They are more; names the field.
        """
        _at_most(field, steps, self.steps)


def _at_most(field: str, value: int, most: int) -> None:
    if value > most:
        raise invalid_field(field, f"comes to {value}, more than this trainer's {most}")
