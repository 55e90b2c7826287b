"""The calls of the generator that sample, encode and decode."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xenolith.client.results.samples import Decoded, Encoded, Samples, SamplesCollector, samples_from_proto
from xenolith.client.transport.calls import Collect, Iterate, Unary, takes
from xenolith.contract.names import status_name
from xenolith.contract.wire import batch_from_proto, batch_to_proto, tensor_from_proto, tensor_to_proto
from xenolith.convert.items import as_batch
from xenolith.errors import InvalidArgumentError
from xenolith.v1 import generator_pb2

if TYPE_CHECKING:
    from xenolith.convert.items import CrystalsLike

__all__ = [
    "SampleOptions",
    "WatchedSampleOptions",
    "decode",
    "describe",
    "encode",
    "iter_samples",
    "sample",
    "sampling",
]


def describe(*, timeout_s: float | None = None) -> Unary[generator_pb2.GeneratorServiceDescribeResponse]:
    """Return what the generator is: bundle, policy version, limits, prior, denoiser configuration."""
    request = generator_pb2.GeneratorServiceDescribeRequest()
    return Unary(method="Describe", request=request, parse=lambda r: r, timeout_s=timeout_s, default_s=20)


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """Options of sampling; None is the generator's own default."""

    n: int | None = None
    """How many; needed unless `num_atoms` is a sequence."""
    num_atoms: Sequence[int] | int | None = None
    """Atoms of each sample, or one number for all; None: drawn from the generator's prior."""
    conditions: Sequence[generator_pb2.Condition] | generator_pb2.Condition = ()
    """None, one for all, or one per sample; see `condition`."""
    seed: int = 0
    """Everything not given by `sample_seeds` derives from it."""
    sample_seeds: Sequence[int] = ()
    """One per sample; see ``SampleRequest``."""
    initial_noise_seeds: Sequence[int] = ()
    """One per sample; see ``SampleRequest``."""
    steps: int | None = None
    """Denoising steps."""
    eta: float | None = None
    """Noise added at each step, from 0, none, to 1."""
    guidance_scale: float | None = None
    """How strongly conditions hold."""
    finish_steps: int | None = None
    """Steps of the bundle's network that finishes decoded crystals; 0: decode and leave."""
    finish_noise: float | None = None
    """Noise that it takes decoded crystals to have, Angstrom: more lets atoms move further."""
    symmetrize_tolerance: float | None = None
    """Clean-up after decoding: symmetry found to this tolerance, Angstrom, is made exact; None: not."""
    relax_steps: int | None = None
    """Clean-up after decoding: relaxation steps; None: none."""
    return_trajectory: bool = False
    """Whether to return the way through the denoising steps."""
    return_embeddings: bool = False
    """Whether to return embeddings."""
    expected_policy_version: str = ""
    """Fail unless this policy is loaded; ``"base"`` is the bundle's own, whatever is loaded. One of a run is
    named by what ``trainer.publish_policy`` returns."""
    expected_bundle_digest: str = ""
    """Fail unless this bundle is loaded."""
    max_samples_per_message: int = 0
    """Samples that arrive together at most; 0: as the generator likes."""
    timeout_s: float | None = None
    """Seconds until the call fails; None: 300 plus 5 per sample."""


@dataclass(frozen=True, kw_only=True)
class WatchedSampleOptions(SampleOptions):
    """Options of sampling, and a function that hears of its progress."""

    on_progress: Callable[[int, int], None] | None = None
    """Called with samples done and samples in all."""


@takes(WatchedSampleOptions)
def sample(options: WatchedSampleOptions) -> Collect[Samples]:
    """Sample crystals; the arguments are the fields of `SampleOptions`, and `on_progress`."""
    return sampling(_sample_request(options), options.on_progress, options.timeout_s)


def sampling(
    request: generator_pb2.SampleRequest,
    on_progress: Callable[[int, int], None] | None = None,
    timeout_s: float | None = None,
) -> Collect[Samples]:
    """Return the call that samples what a message asks for, in its order."""
    total = len(request.num_atoms) or request.num_samples
    return Collect(
        method="Sample",
        request=request,
        collector=lambda: SamplesCollector(total, on_progress),
        timeout_s=timeout_s,
        default_s=300 + 5 * total,
    )


@takes(SampleOptions)
def iter_samples(options: SampleOptions) -> Iterate[Samples]:
    """Sample crystals and yield them as they are made, in any order; see `Samples.indices`.

    The arguments are the fields of `SampleOptions`.
    """
    request = _sample_request(options)
    return Iterate(
        method="Sample",
        request=request,
        parse=samples_from_proto,
        timeout_s=options.timeout_s,
        default_s=300 + 5 * request.num_samples,
    )


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
        method="Encode", request=request, parse=_encoded, timeout_s=timeout_s, default_s=60 + len(batch)
    )


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
    return Unary(
        method="Decode",
        request=request,
        parse=_decoded,
        timeout_s=timeout_s,
        default_s=60 + len(request.num_atoms),
    )


def _sample_request(options: SampleOptions) -> generator_pb2.SampleRequest:
    counts = _counts(options.n, options.num_atoms)
    total = len(counts) if counts else options.n
    if total is None or total < 0:
        raise InvalidArgumentError("say how many samples: n=64, or num_atoms with one count per sample")
    conditions = options.conditions
    request = generator_pb2.SampleRequest(
        num_atoms=counts,
        num_samples=total,
        conditions=[conditions] if isinstance(conditions, generator_pb2.Condition) else conditions,
        seed=options.seed,
        sample_seeds=options.sample_seeds,
        initial_noise_seeds=options.initial_noise_seeds,
        sampler=generator_pb2.SamplerSettings(
            steps=options.steps, eta=options.eta, guidance_scale=options.guidance_scale
        ),
        finishing=generator_pb2.Finishing(steps=options.finish_steps, noise=options.finish_noise),
        return_trajectory=options.return_trajectory,
        return_embeddings=options.return_embeddings,
        expected_policy_version=options.expected_policy_version,
        expected_bundle_digest=options.expected_bundle_digest,
        max_samples_per_message=options.max_samples_per_message,
    )
    if options.symmetrize_tolerance is not None or options.relax_steps is not None:
        cleanup = generator_pb2.Cleanup(
            symmetrize_tolerance=options.symmetrize_tolerance, relax_steps=options.relax_steps
        )
        request.cleanup.CopyFrom(cleanup)
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
