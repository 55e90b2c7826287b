"""The calls of the generator that sample, encode and decode."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xenolith.client.results.samples import Encoded, Samples, SamplesCollector, samples_from_proto
from xenolith.client.transport.calls import Collect, Iterate, Unary, deadline
from xenolith.contract.names import status_name
from xenolith.contract.wire import batch_from_proto, batch_to_proto, tensor_from_proto, tensor_to_proto
from xenolith.convert.items import as_batch
from xenolith.crystal import CrystalBatch
from xenolith.errors import InvalidArgumentError
from xenolith.v1 import generator_pb2

if TYPE_CHECKING:
    from xenolith.convert.items import CrystalsLike

__all__ = [
    "decode",
    "describe",
    "encode",
    "iter_samples",
    "sample",
]


def describe(*, timeout_s: float | None = None) -> Unary[generator_pb2.GeneratorServiceDescribeResponse]:
    """Return what the generator is: bundle, policy version, limits, prior, denoiser configuration."""
    request = generator_pb2.GeneratorServiceDescribeRequest()
    return Unary(method="Describe", request=request, parse=lambda r: r, timeout_s=deadline(timeout_s, 20))


def sample(
    *,
    n: int | None = None,
    num_atoms: Sequence[int] | int | None = None,
    conditions: Sequence[generator_pb2.Condition] | generator_pb2.Condition = (),
    seed: int = 0,
    sample_seeds: Sequence[int] = (),
    initial_noise_seeds: Sequence[int] = (),
    steps: int | None = None,
    eta: float | None = None,
    guidance_scale: float | None = None,
    finish_steps: int | None = None,
    finish_noise: float | None = None,
    symmetrize_tolerance: float | None = None,
    relax_steps: int | None = None,
    return_trajectory: bool = False,
    return_embeddings: bool = False,
    expected_policy_version: str = "",
    expected_bundle_digest: str = "",
    on_progress: Callable[[int, int], None] | None = None,
    timeout_s: float | None = None,
) -> Collect[Samples]:
    """Sample crystals.

    Parameters
    ----------
    n
        How many; needed unless `num_atoms` is a sequence.
    num_atoms
        Atoms of each sample, or one number for all; None: drawn from the generator's prior.
    conditions
        None, one for all, or one per sample; see `condition`.
    seed
        Everything not given by `sample_seeds` derives from it.
    sample_seeds, initial_noise_seeds
        One per sample; see ``SampleRequest``.
    steps, eta, guidance_scale
        Sampler settings; None: the generator's defaults.
    finish_steps, finish_noise
        How decoded crystals are finished: evaluations of the network, 0 for none, and the noise that is taken
        off, Angstrom; None: the generator's defaults.
    symmetrize_tolerance, relax_steps
        Clean-up after decoding; None: none.
    return_trajectory, return_embeddings
        Return these too.
    expected_policy_version, expected_bundle_digest
        Fail unless these are loaded; ``"base"`` is the bundle's own policy, whatever is loaded. A policy of a
        run is named by what ``trainer.publish_policy`` returns.
    on_progress
        Called with samples done and samples in all.
    timeout_s
        Seconds until the call fails; default 300 plus 5 per sample.
    """
    request = _sample_request(**{k: v for k, v in locals().items() if k not in {"on_progress", "timeout_s"}})
    total = request.num_samples
    return Collect(
        method="Sample",
        request=request,
        collector=lambda: SamplesCollector(total, on_progress),
        timeout_s=deadline(timeout_s, 300 + 5 * total),
    )


def iter_samples(
    *,
    n: int | None = None,
    num_atoms: Sequence[int] | int | None = None,
    conditions: Sequence[generator_pb2.Condition] | generator_pb2.Condition = (),
    seed: int = 0,
    steps: int | None = None,
    eta: float | None = None,
    guidance_scale: float | None = None,
    finish_steps: int | None = None,
    finish_noise: float | None = None,
    symmetrize_tolerance: float | None = None,
    relax_steps: int | None = None,
    expected_policy_version: str = "",
    max_samples_per_message: int = 0,
    timeout_s: float | None = None,
) -> Iterate[Samples]:
    """Sample crystals and yield them as they are made, in any order; see `Samples.indices`."""
    request = _sample_request(**{k: v for k, v in locals().items() if k != "timeout_s"})
    timeout = deadline(timeout_s, 300 + 5 * request.num_samples)
    return Iterate(method="Sample", request=request, parse=samples_from_proto, timeout_s=timeout)


def encode(
    crystals: "CrystalsLike",
    *,
    return_embeddings: bool = False,
    return_log_variance: bool = False,
    expected_autoencoder_digest: str = "",
    timeout_s: float | None = None,
) -> Unary[Encoded]:
    """Return latents of crystals."""
    batch = as_batch(crystals)
    request = generator_pb2.EncodeRequest(
        crystals=batch_to_proto(batch),
        return_embeddings=return_embeddings,
        return_log_variance=return_log_variance,
        expected_autoencoder_digest=expected_autoencoder_digest,
    )
    return Unary(
        method="Encode", request=request, parse=_encoded, timeout_s=deadline(timeout_s, 60 + len(batch))
    )


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """Crystals of latents."""

    crystals: CrystalBatch
    """The crystals."""
    provenance: generator_pb2.GeneratorProvenance
    """What decoded."""


def decode(
    latents: npt.ArrayLike,
    num_atoms: Sequence[int],
    *,
    autoencoder_digest: str,
    finish_steps: int | None = None,
    finish_noise: float | None = None,
    timeout_s: float | None = None,
) -> Unary[Decoded]:
    """Return the crystals of (T, L) latents that belong to the autoencoder with `autoencoder_digest`."""
    request = generator_pb2.DecodeRequest(
        num_atoms=[int(count) for count in num_atoms],
        latents=tensor_to_proto(np.asarray(latents, dtype=np.float32)),
        expected_autoencoder_digest=autoencoder_digest,
        finishing=generator_pb2.Finishing(steps=finish_steps, noise=finish_noise),
    )
    timeout = deadline(timeout_s, 60 + len(request.num_atoms))
    return Unary(method="Decode", request=request, parse=_decoded, timeout_s=timeout)


def _sample_request(
    *,
    n: int | None,
    num_atoms: Sequence[int] | int | None,
    conditions: Sequence[generator_pb2.Condition] | generator_pb2.Condition,
    seed: int,
    steps: int | None,
    eta: float | None,
    guidance_scale: float | None,
    finish_steps: int | None = None,
    finish_noise: float | None = None,
    symmetrize_tolerance: float | None = None,
    relax_steps: int | None = None,
    **fields: Any,
) -> generator_pb2.SampleRequest:
    counts = _counts(n, num_atoms)
    total = len(counts) if counts else n
    if total is None or total < 0:
        raise InvalidArgumentError("say how many samples: n=64, or num_atoms with one count per sample")
    request = generator_pb2.SampleRequest(
        num_atoms=counts,
        num_samples=total,
        conditions=[conditions] if isinstance(conditions, generator_pb2.Condition) else conditions,
        seed=seed,
        sampler=generator_pb2.SamplerSettings(steps=steps, eta=eta, guidance_scale=guidance_scale),
        finishing=generator_pb2.Finishing(steps=finish_steps, noise=finish_noise),
        **fields,
    )
    if symmetrize_tolerance is not None or relax_steps is not None:
        request.cleanup.CopyFrom(
            generator_pb2.Cleanup(symmetrize_tolerance=symmetrize_tolerance, relax_steps=relax_steps)
        )
    return request


def _counts(n: int | None, num_atoms: Sequence[int] | int | None) -> list[int]:
    if num_atoms is None:
        return []
    if isinstance(num_atoms, int | np.integer):
        return [int(num_atoms)] * (1 if n is None else n)
    counts = [int(count) for count in num_atoms]
    if n is not None and n != len(counts):
        raise InvalidArgumentError(f"n is {n}, but num_atoms has {len(counts)} entries; leave n out")
    return counts


def _encoded(response: generator_pb2.EncodeResponse) -> Encoded:
    def optional(name: str) -> Any:
        return tensor_from_proto(getattr(response, name), name) if response.HasField(name) else None

    return Encoded(
        latents=tensor_from_proto(response.latents, "latents").astype(np.float32, copy=False),
        statuses=tuple(status_name(status) for status in response.statuses),
        messages=tuple(response.messages),
        provenance=response.provenance,
        embeddings=optional("embeddings"),
        log_variance=optional("log_variance"),
    )


def _decoded(response: generator_pb2.DecodeResponse) -> Decoded:
    return Decoded(crystals=batch_from_proto(response.crystals), provenance=response.provenance)
