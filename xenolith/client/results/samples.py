"""Answers of the generator, as dataclasses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from xenolith.contract.wire import batch_from_proto, tensor_from_proto
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.errors import InternalError
from xenolith.v1 import generator_pb2

__all__ = ["Decoded", "Encoded", "Samples", "SamplesCollector", "Trajectory"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """The way of n samples, with T atoms together, through S denoising steps."""

    latents: Floats
    """(S + 1, T, L) states, from initial noise to the final latents."""
    timesteps: tuple[int, ...]
    """(S,) timesteps of the training schedule, decreasing."""
    old_log_probs: Floats
    """(n, S) mean log-density of each step under the sampling policy; NaN where a step adds no noise."""


@dataclass(frozen=True, kw_only=True)
class Samples(Sequence[Crystal]):
    """Samples in the order asked for."""

    crystals: CrystalBatch
    """(n) the crystals."""
    latents: Floats
    """(T, L) final latents."""
    seeds: npt.NDArray[np.uint64]
    """(n,) seed of each sample: with the same policy and settings it gives the same crystal."""
    indices: npt.NDArray[np.int64]
    """(n,) position of each in the request."""
    provenance: generator_pb2.GeneratorProvenance
    """What made them."""
    embeddings: Floats | None = field(default=None, repr=False)
    """(n, D) embeddings, when asked for."""
    trajectory: Trajectory | None = field(default=None, repr=False)
    """The way there, when asked for."""

    @property
    def policy_version(self) -> str:
        """Policy that sampled."""
        return self.provenance.policy_version

    @classmethod
    def concat(cls, parts: Sequence["Samples"]) -> "Samples":
        """Append samples of one policy to one another; `indices` stay those of their own requests.

        Raises
        ------
        InternalError
            Their trajectories went through different timesteps.
        """
        return cls(
            crystals=CrystalBatch.concat(part.crystals for part in parts),
            latents=_join([part.latents for part in parts], (0, 0), np.float32),
            seeds=_join([part.seeds for part in parts], (0,), np.uint64),
            indices=_join([part.indices for part in parts], (0,), np.int64),
            provenance=parts[0].provenance if parts else generator_pb2.GeneratorProvenance(),
            embeddings=_embeddings([part.embeddings for part in parts]),
            trajectory=_trajectory([part.trajectory for part in parts]),
        )

    def take(self, order: npt.NDArray[np.int64]) -> "Samples":
        """Return the samples at these positions, in their order."""
        offsets, way = self.crystals.offsets, self.trajectory
        atoms = _join([np.arange(offsets[i], offsets[i + 1]) for i in order], (0,), np.int64)
        return Samples(
            crystals=self.crystals.take(order),
            latents=self.latents[atoms],
            seeds=self.seeds[order],
            indices=self.indices[order],
            provenance=self.provenance,
            embeddings=None if self.embeddings is None else self.embeddings[order],
            trajectory=None
            if way is None
            else Trajectory(
                latents=way.latents[:, atoms],
                timesteps=way.timesteps,
                old_log_probs=way.old_log_probs[order],
            ),
        )

    def __len__(self) -> int:
        return len(self.crystals)

    @overload
    def __getitem__(self, index: int) -> Crystal: ...
    @overload
    def __getitem__(self, index: slice) -> CrystalBatch: ...
    def __getitem__(self, index: int | slice) -> Crystal | CrystalBatch:
        return self.crystals[index]


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Latents of crystals."""

    latents: Floats
    """(T, L) posterior means; NaN for structures that are not OK."""
    statuses: tuple[str, ...]
    """Status of each structure."""
    messages: tuple[str, ...]
    """What is wrong, empty where OK."""
    provenance: generator_pb2.GeneratorProvenance
    """What encoded."""
    embeddings: Floats | None = None
    """(B, D) embeddings, when asked for."""
    log_variance: Floats | None = None
    """(T, L) logarithm of the posterior's variance, when asked for."""


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """Crystals of latents."""

    crystals: CrystalBatch
    """The crystals."""
    provenance: generator_pb2.GeneratorProvenance
    """What decoded."""


def samples_from_proto(message: generator_pb2.SampleResponse) -> Samples:
    """Return the samples of one message, in its own order."""
    trajectory = None
    if message.HasField("trajectory"):
        way = message.trajectory
        trajectory = Trajectory(
            latents=_floats(way.latents, "trajectory.latents"),
            timesteps=tuple(way.timesteps),
            old_log_probs=_floats(way.old_log_probs, "trajectory.old_log_probs"),
        )
    return Samples(
        crystals=batch_from_proto(message.crystals),
        latents=_floats(message.latents, "latents"),
        seeds=np.array(message.sample_seeds, dtype=np.uint64),
        indices=np.array(message.sample_indices, dtype=np.int64),
        provenance=message.provenance,
        embeddings=_floats(message.embeddings, "embeddings") if message.HasField("embeddings") else None,
        trajectory=trajectory,
    )


class SamplesCollector:
    """Puts the messages of one request back into the request's order."""

    def __init__(self, expected: int, on_progress: Any = None) -> None:
        self._expected = expected
        self._on_progress = on_progress
        self._parts: list[Samples] = []

    def add(self, message: generator_pb2.SampleResponse) -> None:
        """Take the next message."""
        self._parts.append(samples_from_proto(message))
        if self._on_progress:
            self._on_progress(sum(map(len, self._parts)), self._expected)

    def finish(self) -> Samples:
        """Return all samples in order.

        Raises
        ------
        InternalError
            If samples are missing, doubled, or of different policies.
        """
        samples = Samples.concat(self._parts)
        if sorted(samples.indices.tolist()) != list(range(self._expected)):
            raise InternalError(
                f"the generator answered {len(samples)} samples, {self._expected} were asked for"
            )
        versions = {part.policy_version for part in self._parts}
        if len(versions) > 1:
            raise InternalError(f"the generator mixed policies in one answer: {', '.join(sorted(versions))}")
        return samples.take(np.argsort(samples.indices))


def _floats(message: Any, field_path: str) -> Floats:
    return tensor_from_proto(message, field_path).astype(np.float32, copy=False)


def _join(arrays: list[Any], empty: tuple[int, ...], dtype: type) -> Any:
    return np.concatenate(arrays) if arrays else np.empty(empty, dtype=dtype)


def _embeddings(arrays: list[Floats | None]) -> Floats | None:
    present = [array for array in arrays if array is not None]
    return np.concatenate(present) if present and len(present) == len(arrays) else None


def _trajectory(parts: list[Trajectory | None]) -> Trajectory | None:
    present = [part for part in parts if part is not None]
    if not present or len(present) != len(parts):
        return None
    if len({part.timesteps for part in present}) > 1:
        raise InternalError("the generator answered trajectories of different timesteps")
    return Trajectory(
        latents=np.concatenate([part.latents for part in present], axis=1),
        timesteps=present[0].timesteps,
        old_log_probs=np.concatenate([part.old_log_probs for part in present]),
    )
