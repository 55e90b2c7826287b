"""The calls of the generator."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xenolith.chunks import ReceivedWeights, WeightsReceiver, send_weights
from xenolith.client._calls import Collect, Iterate, Unary, Upload, deadline
from xenolith.client.results import status_name
from xenolith.client.samples import Encoded, Samples, SamplesCollector, samples_from_proto
from xenolith.convert.items import as_batch
from xenolith.crystal import CrystalBatch
from xenolith.elements import atomic_number
from xenolith.errors import InvalidArgumentError
from xenolith.formula import parse_formula
from xenolith.v1 import generator_pb2
from xenolith.wire import batch_from_proto, batch_to_proto, tensor_from_proto, tensor_to_proto

if TYPE_CHECKING:
    from xenolith.convert.items import CrystalsLike

__all__ = [
    "condition",
    "decode",
    "describe",
    "encode",
    "get_weights",
    "iter_samples",
    "sample",
    "update_weights",
]

FULL = generator_pb2.WEIGHTS_KIND_FULL
ADAPTER = generator_pb2.WEIGHTS_KIND_ADAPTER


def describe(*, timeout_s: float | None = None) -> Unary[generator_pb2.GeneratorServiceDescribeResponse]:
    """Return what the generator is: bundle, policy version, limits, prior, denoiser configuration."""
    request = generator_pb2.GeneratorServiceDescribeRequest()
    return Unary(method="Describe", request=request, parse=lambda r: r, timeout_s=deadline(timeout_s, 20))


def condition(
    *,
    composition: Mapping[str, float] | str | None = None,
    chemical_system: Iterable[str] | str = (),
    properties: Mapping[str, float] | None = None,
) -> generator_pb2.Condition:
    """Return a condition for `sample`; what is left out is free.

    Parameters
    ----------
    composition
        Formula such as ``"SrTiO3"``, or amounts by symbol; only ratios matter.
    chemical_system
        ``"Li-Fe-O"``, or symbols: every element of the crystal is one of these.
    properties
        Values by name, such as ``{"band_gap": 3.0}``, in the units of the bundle's card.

    Raises
    ------
    InvalidArgumentError
        A symbol is no element, or a formula is none.
    """
    if isinstance(composition, str):
        try:
            composition = parse_formula(composition)
        except ValueError as error:
            raise InvalidArgumentError(str(error)) from None
    if isinstance(chemical_system, str):
        chemical_system = [symbol for symbol in re.split(r"[-,\s]+", chemical_system) if symbol]
    try:
        amounts = [
            generator_pb2.ElementAmount(number=atomic_number(symbol), amount=amount)
            for symbol, amount in (composition or {}).items()
        ]
        system = [atomic_number(symbol) for symbol in chemical_system]
    except KeyError as error:
        raise InvalidArgumentError(f"{error.args[0]!r} is no element") from None
    return generator_pb2.Condition(composition=amounts, chemical_system=system, properties=properties)


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
    symmetrize_tolerance, relax_steps
        Clean-up after decoding; None: none.
    return_trajectory, return_embeddings
        Return these too.
    expected_policy_version, expected_bundle_digest
        Fail unless these are loaded.
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
    symmetrize_tolerance: float | None = None,
    relax_steps: int | None = None,
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
    timeout_s: float | None = None,
) -> Unary[Decoded]:
    """Return the crystals of (T, L) latents that belong to the autoencoder with `autoencoder_digest`."""
    request = generator_pb2.DecodeRequest(
        num_atoms=[int(count) for count in num_atoms],
        latents=tensor_to_proto(np.asarray(latents, dtype=np.float32)),
        expected_autoencoder_digest=autoencoder_digest,
    )
    timeout = deadline(timeout_s, 60 + len(request.num_atoms))
    return Unary(method="Decode", request=request, parse=_decoded, timeout_s=timeout)


def update_weights(
    tensors: Mapping[str, npt.NDArray[np.generic]],
    *,
    policy_version: str,
    bundle_digest: str,
    expected_policy_version: str = "",
    base_policy_version: str = "",
    config_json: str = "",
    adapter: bool = False,
    timeout_s: float | None = None,
) -> Upload[generator_pb2.UpdateWeightsResponse]:
    """Replace the policy's weights, all at once or not at all.

    Parameters
    ----------
    tensors
        Arrays by name.
    policy_version
        Version that they are, such as ``my-run/12``.
    bundle_digest
        Bundle that they were trained on.
    expected_policy_version
        Fail unless this version is loaded; empty: replace whatever is.
    base_policy_version
        For an adapter: the version it applies to.
    config_json
        Configuration of denoiser or adapter, if it differs from the bundle's.
    adapter
        Whether the tensors are a low-rank adapter.
    timeout_s
        Seconds until the call fails; default 300.
    """
    header = generator_pb2.WeightsHeader(
        kind=ADAPTER if adapter else FULL,
        policy_version=policy_version,
        expected_policy_version=expected_policy_version,
        base_policy_version=base_policy_version,
        bundle_digest=bundle_digest,
        config_json=config_json,
    )
    return Upload(
        method="UpdateWeights",
        requests=lambda: send_weights(generator_pb2.UpdateWeightsRequest, header, tensors),
        parse=lambda r: r,
        timeout_s=deadline(timeout_s, 300),
    )


def get_weights(
    *, expected_policy_version: str = "", adapter: bool = False, timeout_s: float | None = None
) -> Collect[ReceivedWeights]:
    """Return the policy's weights, verified against their checksum."""
    kind = ADAPTER if adapter else FULL
    request = generator_pb2.GetWeightsRequest(kind=kind, expected_policy_version=expected_policy_version)
    timeout = deadline(timeout_s, 300)
    return Collect(method="GetWeights", request=request, collector=WeightsReceiver, timeout_s=timeout)


def _sample_request(
    *,
    n: int | None,
    num_atoms: Sequence[int] | int | None,
    conditions: Sequence[generator_pb2.Condition] | generator_pb2.Condition,
    seed: int,
    steps: int | None,
    eta: float | None,
    guidance_scale: float | None,
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
