"""Reward specs and their arithmetic: the oracle measures, the trainer values."""

from trainer_svc.rewards.compute import Rewards, TermValues, compute_rewards
from trainer_svc.rewards.spec import RewardSpec, RewardTerm, builtin_specs, load_spec

__all__ = [
    "RewardSpec",
    "RewardTerm",
    "Rewards",
    "TermValues",
    "builtin_specs",
    "compute_rewards",
    "load_spec",
]
