"""Results of the engine, as messages of the contract."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from generator_svc.diffusion.sampler import SamplerSettings
from generator_svc.finisher.plan import FinishPlan
from generator_svc.networks.conditions import ConditionsConfig
from generator_svc.networks.schedule import time_grid
from generator_svc.service import requests
from generator_svc.service.engine import SampledChunk
from generator_svc.service.policy import Policy
from xenolith.contract.chunks import send_weights
from xenolith.contract.wire import tensor_to_proto
from xenolith.errors import FailedPreconditionError
from xenolith.v1 import generator_pb2

__all__ = [
    "adapter_messages",
    "condition_kinds",
    "condition_properties",
    "finishing",
    "sampler",
    "trajectory",
]


def adapter_messages(policy: Policy, bundle_digest: str) -> Iterator[generator_pb2.GetWeightsResponse]:
    """Stream the policy's adapter.

    Raises
    ------
    FailedPreconditionError
        The policy was not pushed as an adapter.
    """
    if policy.adapter is None:
        raise FailedPreconditionError(f"policy {policy.version!r} has no adapter: ask for full weights")
    header = generator_pb2.WeightsHeader(
        kind=generator_pb2.WEIGHTS_KIND_ADAPTER,
        policy_version=policy.version,
        base_policy_version=policy.adapter.base_version,
        bundle_digest=bundle_digest,
        config_json=policy.adapter.config_json,
    )
    return send_weights(generator_pb2.GetWeightsResponse, header, policy.adapter.tensors)


def condition_kinds(config: ConditionsConfig | None) -> list[generator_pb2.ConditionKind]:
    """Kinds of conditions that a denoiser has learnt."""
    if config is None:
        return []
    learnt = {
        generator_pb2.CONDITION_KIND_COMPOSITION: config.composition,
        generator_pb2.CONDITION_KIND_CHEMICAL_SYSTEM: config.chemical_system,
        generator_pb2.CONDITION_KIND_PROPERTY: bool(config.scalars),
    }
    return [kind for kind, known in learnt.items() if known]


def condition_properties(config: ConditionsConfig | None) -> list[str]:
    """Scalar columns that a denoiser has learnt."""
    return [] if config is None else [scalar.name for scalar in config.scalars]


def sampler(settings: SamplerSettings) -> generator_pb2.SamplerSettings:
    """Name every setting that was used, defaults too."""
    return generator_pb2.SamplerSettings(
        steps=settings.steps, eta=settings.eta, guidance_scale=settings.guidance_scale
    )


def finishing(plan: FinishPlan | None) -> generator_pb2.Finishing | None:
    """Name every setting of finishing; None where there is none."""
    return None if plan is None else generator_pb2.Finishing(steps=plan.steps, noise=plan.noise)


def trajectory(chunk: SampledChunk, settings: SamplerSettings) -> generator_pb2.Trajectory:
    """Latents, timesteps and log-probabilities of every step; NaN where a step has no density."""
    times = time_grid(settings.steps)[:-1].numpy()
    log_probs = chunk.trajectory.log_probs.T.cpu().numpy().copy()
    # A step without noise has no density: the last one always, all of them when eta is 0.
    log_probs[:, -1] = np.nan
    if settings.eta == 0:
        log_probs[:] = np.nan
    return generator_pb2.Trajectory(
        latents=tensor_to_proto(chunk.trajectory.latents.cpu().numpy()),
        timesteps=np.rint(times * (requests.NUM_TIMESTEPS - 1)).astype(int).tolist(),
        old_log_probs=tensor_to_proto(log_probs),
    )
