"""The optimiser that all algorithms share."""

import torch

from trainer_svc.algorithms.learning import OptimizerSettings

__all__ = ["make_optimizer", "set_learning_rate"]


def make_optimizer(network: torch.nn.Module, settings: OptimizerSettings) -> torch.optim.AdamW:
    """AdamW over all trainable weights."""
    return torch.optim.AdamW(
        [weight for weight in network.parameters() if weight.requires_grad],
        lr=settings.learning_rate,
        betas=(0.9, 0.99),
        weight_decay=settings.weight_decay,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, settings: OptimizerSettings, step: int) -> float:
    """Set and return the learning rate of a step, 1-based."""
    warmup = settings.warmup_steps
    rate = settings.learning_rate * (min(1.0, step / warmup) if warmup else 1.0)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate
