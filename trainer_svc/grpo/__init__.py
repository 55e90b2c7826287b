"""Group-relative policy optimisation of denoising steps."""

from trainer_svc.grpo.rollouts import Rollouts
from trainer_svc.grpo.update import Updater

__all__ = ["Rollouts", "Updater"]
