"""Computations of the service, apart from gRPC: sampling in chunks, encoding, decoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generator_svc.cleanup.plan import Cleaned, CleanupPlan, Relaxer, clean
from generator_svc.data.table import niggli_cell
from generator_svc.diffusion.sampler import (
    SamplerSettings,
    SamplingCancelledError,
    Trajectory,
    sample_in_turns,
)
from generator_svc.finisher.finish import finish_in_turns
from generator_svc.finisher.plan import FinishPlan, default_plan
from generator_svc.networks.autoencoder import CrystalTensors
from generator_svc.networks.conditions import Conditions
from generator_svc.networks.ragged import Ragged
from generator_svc.service.policy import Policy
from generator_svc.storage.bundle import LoadedBundle
from generator_svc.turns import Turns, finished
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.errors import CancelledError
from xenolith.v1 import crystal_pb2

__all__ = ["ASSIGNED", "Engine", "SamplePlan", "SampledChunk", "portions", "to_batch"]

_PORTION = 256
"""Structures encoded or decoded together."""
ASSIGNED = "assign_elements"
"""Name in provenance of elements that were chosen to fit a composition or a chemical system."""


@dataclass(frozen=True, kw_only=True)
class SamplePlan:
    """A checked request to sample."""

    num_atoms: NDArray[np.int64]
    """(n,) atoms of each sample."""
    seeds: NDArray[np.uint64]
    """(n,) uint64 seed of each sample."""
    initial_seeds: NDArray[np.uint64] | None
    """(n,) uint64 seeds of the starting noise, where they differ."""
    settings: SamplerSettings
    chunk: int
    """Most samples computed, and returned, together."""
    embeddings: bool
    conditions: Conditions | None = None
    """Of the n samples, on the CPU; None: none."""
    finishing: FinishPlan | None = None
    """How decoded crystals are finished; None: not at all."""
    cleanup: CleanupPlan = field(default_factory=CleanupPlan)
    """What is done to them then."""


@dataclass(frozen=True, kw_only=True)
class SampledChunk:
    """Some finished samples."""

    indices: NDArray[np.int64]
    """(b,) positions in the request."""
    crystals: CrystalBatch
    trajectory: Trajectory
    embeddings: NDArray[np.float32] | None
    cleanup: tuple[str, ...] = ()
    """Clean-up done, for provenance."""


class Engine:
    """A bundle's networks at work on one device."""

    def __init__(self, loaded: LoadedBundle, device: torch.device, relaxer: Relaxer | None = None) -> None:
        self.loaded = loaded
        self.device = device
        self.relaxer = relaxer

    @property
    def finishing(self) -> FinishPlan | None:
        """How crystals are finished unless a request says otherwise; None: not at all."""
        return default_plan(self.loaded.bundle.manifest)

    @property
    def elements(self) -> list[int]:
        """Atomic numbers that the bundle makes."""
        return [int(number) for number in self.loaded.bundle.manifest["elements"]]

    def draw_atom_counts(self, seed: int, size: int) -> NDArray[np.int64]:
        """(size,) atom counts of the bundle's prior, derived from the seed."""
        draw = np.random.default_rng([seed, 1])
        return draw.choice(self.loaded.atom_counts, size=size, p=self.loaded.atom_count_probabilities)

    def draw_among(self, counts: Sequence[int], seed: int, index: int) -> int:
        """One of the given atom counts for sample `index`, by the prior; the smallest where it knows none."""
        known = np.isin(self.loaded.atom_counts, counts)
        if not known.any():
            return min(counts)
        probabilities = self.loaded.atom_count_probabilities[known]
        draw = np.random.default_rng([seed, 3, index])
        return int(draw.choice(self.loaded.atom_counts[known], p=probabilities / probabilities.sum()))

    def draw_seeds(self, seed: int, size: int) -> NDArray[np.uint64]:
        """(size,) uint64 sample seeds; seed i depends on the request's seed and i alone."""
        return np.random.default_rng([seed, 2]).integers(0, 2**64, size=size, dtype=np.uint64)

    def sample(
        self, policy: Policy, plan: SamplePlan, cancelled: Callable[[], bool]
    ) -> Iterator[SampledChunk]:
        """Yield finished chunks, samples of one atom count together so that little is padded."""
        return (chunk for chunk in self.sample_in_turns(policy, plan, cancelled) if chunk is not None)

    def sample_in_turns(
        self, policy: Policy, plan: SamplePlan, cancelled: Callable[[], bool]
    ) -> Iterator[SampledChunk | None]:
        """Yield finished chunks as `sample` does, and None wherever others may have their turn."""
        order = np.argsort(plan.num_atoms, kind="stable")
        for start in range(0, len(order), plan.chunk):
            rows = order[start : start + plan.chunk]
            try:
                yield (yield from self._chunk(policy, plan, rows, cancelled))
            except SamplingCancelledError:
                return

    def _chunk(
        self, policy: Policy, plan: SamplePlan, rows: NDArray[np.int64], cancelled: Callable[[], bool]
    ) -> Turns[SampledChunk]:
        initial = None if plan.initial_seeds is None else plan.initial_seeds[rows].tolist()
        conditions = None
        if plan.conditions is not None:
            conditions = plan.conditions.take(torch.from_numpy(rows)).to(self.device)
        trajectory = yield from sample_in_turns(
            policy.denoiser,
            plan.num_atoms[rows].tolist(),
            plan.seeds[rows].tolist(),
            plan.settings,
            condition=conditions,
            initial_seeds=initial,
            cancelled=cancelled,
        )
        latents = self.loaded.restore(trajectory.sample)
        embeddings = None
        if plan.embeddings:
            embeddings = self.loaded.autoencoder.embed(latents, trajectory.ragged).cpu().numpy()
        crystals = yield from self._crystals(latents, trajectory.ragged, plan.finishing, conditions)
        assigned = conditions is not None and bool(conditions.carried[:, :2].any())
        cleaned = clean(crystals, plan.cleanup, self.relaxer)
        return SampledChunk(
            indices=rows,
            crystals=cleaned.crystals,
            trajectory=trajectory,
            embeddings=embeddings,
            cleanup=(*((ASSIGNED,) if assigned else ()), *cleaned.steps),
        )

    def decode(
        self,
        latents: NDArray[np.generic],
        num_atoms: NDArray[np.int64],
        finishing: FinishPlan | None,
        cleanup: CleanupPlan,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Cleaned:
        """Crystals of (T, latent_dim) normalised latents, finished and cleaned up as asked.

        Raises
        ------
        CancelledError
            `cancelled` answered true between two portions.
        """
        return finished(self.decode_in_turns(latents, num_atoms, finishing, cleanup, cancelled))

    def decode_in_turns(
        self,
        latents: NDArray[np.generic],
        num_atoms: NDArray[np.int64],
        finishing: FinishPlan | None,
        cleanup: CleanupPlan,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Turns[Cleaned]:
        """As `decode`, pausing wherever others may have their turn."""
        if not len(num_atoms):
            return clean(CrystalBatch.from_crystals([]), cleanup, self.relaxer)
        first = np.concatenate([[0], np.cumsum(num_atoms)])
        done = []
        for part in portions(range(len(num_atoms))):
            if cancelled():
                raise CancelledError("the call was cancelled or its deadline passed")
            counts = num_atoms[part[0] : part[-1] + 1]
            ragged = Ragged(torch.from_numpy(counts.astype(np.int64)).to(self.device))
            rows = latents[first[part[0]] : first[part[-1] + 1]]
            values = torch.from_numpy(np.array(rows, dtype=np.float32)).to(self.device)
            crystals = yield from self._crystals(self.loaded.restore(values), ragged, finishing)
            done.append(clean(crystals, cleanup, self.relaxer))
        if len(done) == 1:
            return done[0]
        together = CrystalBatch.from_crystals([crystal for one in done for crystal in one.crystals])
        return Cleaned(crystals=together, steps=tuple(dict.fromkeys(s for one in done for s in one.steps)))

    def _crystals(
        self,
        latents: Tensor,
        ragged: Ragged,
        finishing: FinishPlan | None,
        conditions: Conditions | None = None,
    ) -> Turns[CrystalBatch]:
        """Crystals of (T, latent_dim) latents as the autoencoder has them."""
        crystals = self.loaded.autoencoder.decode(latents, ragged, conditions)
        if finishing is not None and self.loaded.finisher is not None:
            crystals = yield from finish_in_turns(self.loaded.finisher, crystals, finishing.levels)
        return to_batch(crystals)

    @torch.no_grad()
    def encode(self, crystals: list[Crystal]) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised latents (T, L), their log-variance (T, L) and embeddings (B, D) of sound crystals."""
        cells, coords = zip(*(niggli_cell(c.lattice, c.frac_coords) for c in crystals), strict=True)
        counts = torch.tensor([c.num_atoms for c in crystals])
        numbers = torch.from_numpy(np.concatenate([c.numbers for c in crystals]).astype(np.int64))
        tensors = CrystalTensors(
            ragged=Ragged(counts.to(self.device)),
            numbers=numbers.to(self.device),
            frac_coords=torch.from_numpy(np.concatenate(coords)).float().to(self.device),
            lattice=torch.from_numpy(np.stack(cells)).float().to(self.device),
        )
        mean, log_variance = self.loaded.autoencoder.encode(tensors)
        embeddings = self.loaded.autoencoder.embed(mean, tensors.ragged)
        return self.loaded.normalise(mean), log_variance - 2 * self.loaded.latent_std.log(), embeddings

    def status(self, crystal: Crystal) -> tuple[crystal_pb2.StructureStatus, str]:
        """Whether a crystal can be encoded, and if not, why."""
        limit = int(self.loaded.bundle.manifest["max_atoms"])
        known = self.loaded.autoencoder.config.max_atomic_number
        if crystal.num_atoms == 0:
            return crystal_pb2.STRUCTURE_STATUS_MALFORMED, "has no atoms"
        if crystal.num_atoms > limit:
            message = f"has {crystal.num_atoms} atoms; this bundle's limit is {limit}"
            return crystal_pb2.STRUCTURE_STATUS_TOO_LARGE, message
        if not (np.isfinite(crystal.lattice).all() and np.isfinite(crystal.frac_coords).all()):
            return crystal_pb2.STRUCTURE_STATUS_NONFINITE, "has NaN or infinity in its cell or coordinates"
        outside = [int(z) for z in crystal.numbers if not 1 <= z <= known]
        if outside:
            message = f"atomic number {outside[0]} is outside 1 to {known}"
            return crystal_pb2.STRUCTURE_STATUS_UNSUPPORTED_ELEMENT, message
        lengths = np.linalg.norm(crystal.lattice, axis=1)
        if lengths.max() > 1e3 or not abs(np.linalg.det(crystal.lattice)) > 1e-3 * lengths.prod():
            return crystal_pb2.STRUCTURE_STATUS_BAD_CELL, "has a singular or absurdly large cell"
        return crystal_pb2.STRUCTURE_STATUS_OK, ""


def portions(rows: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield rows of a request in portions, between which a call can be cancelled."""
    for start in range(0, len(rows), _PORTION):
        yield rows[start : start + _PORTION]


def to_batch(crystals: CrystalTensors) -> CrystalBatch:
    """A packed torch batch as the contract's columns, in float64."""
    return CrystalBatch(
        num_atoms=crystals.ragged.num_atoms.cpu().numpy().astype(np.int32),
        lattices=crystals.lattice.double().cpu().numpy(),
        numbers=crystals.numbers.cpu().numpy().astype(np.int32),
        frac_coords=crystals.frac_coords.double().cpu().numpy(),
    )
