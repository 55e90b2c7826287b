"""How a policy learns from a step: one file for each loss, everything that they share beside them.

An algorithm gets the samples of a step with their advantages and changes the denoiser in place. Those on the
*forward process* (`awm`, `nft`, `ram`, `expert`) need the final latents alone: they noise them anew and value
the denoiser's prediction there. GRPO needs every denoising step of the rollout with its log-probability, and
has a room of its own, `trainer_svc.grpo`.
"""

from trainer_svc.algorithms.base import Algorithm, Batch, Context, Networks, Path, UpdateStatistics, Valued
from trainer_svc.algorithms.registry import ENTRY_POINTS, algorithm_named, algorithm_names

__all__ = [
    "ENTRY_POINTS",
    "Algorithm",
    "Batch",
    "Context",
    "Networks",
    "Path",
    "UpdateStatistics",
    "Valued",
    "algorithm_named",
    "algorithm_names",
]
