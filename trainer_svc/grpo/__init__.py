"""Group-relative policy optimisation of denoising steps."""

from trainer_svc.grpo.rollouts import Rollouts
from trainer_svc.grpo.update import Updater, UpdateStatistics, make_optimizer

__all__ = ["Rollouts", "UpdateStatistics", "Updater", "make_optimizer"]
