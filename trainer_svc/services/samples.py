"""Samples as the trainer uses them, put together from the messages of one Sample call."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xenolith.contract.wire import batch_from_proto, tensor_from_proto
from xenolith.crystal import CrystalBatch
from xenolith.errors import DataLossError
from xenolith.v1 import generator_pb2

__all__ = ["Samples", "assemble"]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """B samples with T atoms together, in the order of their request."""

    crystals: CrystalBatch
    final: NDArray[np.float32]
    """(T, L) final latents, standardised."""
    latents: NDArray[np.float32] | None
    """(S + 1, T, L) states from initial noise to the final latents; None without trajectory."""
    old_log_probs: NDArray[np.float32] | None
    """(B, S) log-densities averaged over atoms x channels; NaN where a step has none."""
    policy_version: str
    """What sampled all of them."""

    @classmethod
    def concat(cls, parts: "list[Samples]") -> "Samples":
        """Append samples of one policy to one another."""
        trajectories = all(part.latents is not None and part.old_log_probs is not None for part in parts)
        return cls(
            crystals=CrystalBatch.concat([part.crystals for part in parts]),
            final=np.concatenate([part.final for part in parts]),
            latents=np.concatenate([p.latents for p in parts if p.latents is not None], 1)
            if trajectories
            else None,
            old_log_probs=np.concatenate([p.old_log_probs for p in parts if p.old_log_probs is not None])
            if trajectories
            else None,
            policy_version=parts[0].policy_version,
        )


def assemble(messages: Iterable[generator_pb2.SampleResponse], expected: int) -> Samples:
    """Put the messages of one call together, in the order of the request.

    Raises
    ------
    DataLossError
        A sample is missing or came twice, or the policy changed on the way.
    """
    parts = list(messages)
    indices = [index for part in parts for index in part.sample_indices]
    if sorted(indices) != list(range(expected)):
        raise DataLossError(
            f"the generator answered {len(indices)} of {expected} samples; the call is repeated"
        )
    versions = {part.provenance.policy_version for part in parts}
    if len(versions) > 1:
        raise DataLossError(f"the policy changed during one call, from {' to '.join(sorted(versions))}")
    together = Samples.concat([_samples(part) for part in parts])
    return _reorder(together, np.argsort(indices))


def _samples(message: generator_pb2.SampleResponse) -> Samples:
    has_trajectory = message.HasField("trajectory")
    path = message.trajectory
    return Samples(
        crystals=batch_from_proto(message.crystals),
        final=tensor_from_proto(message.latents, "latents").astype(np.float32),
        latents=tensor_from_proto(path.latents).astype(np.float32) if has_trajectory else None,
        old_log_probs=tensor_from_proto(path.old_log_probs).astype(np.float32) if has_trajectory else None,
        policy_version=message.provenance.policy_version,
    )


def _reorder(samples: Samples, order: NDArray[np.int64]) -> Samples:
    starts = samples.crystals.offsets
    atoms = np.concatenate([np.arange(starts[index], starts[index + 1]) for index in order])
    return Samples(
        crystals=samples.crystals.take(order),
        final=samples.final[atoms],
        latents=None if samples.latents is None else samples.latents[:, atoms],
        old_log_probs=None if samples.old_log_probs is None else samples.old_log_probs[order],
        policy_version=samples.policy_version,
    )
