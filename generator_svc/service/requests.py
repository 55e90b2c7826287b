"""Checks of requests: every problem is an INVALID_ARGUMENT that names the field and the limit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from generator_svc.cleanup.plan import MAX_RELAX_STEPS, MAX_TOLERANCE, cleanup_plan
from generator_svc.conditioning import check_conditions, fitting_atom_counts, formula, wanted_conditions
from generator_svc.diffusion.sampler import SamplerSettings
from generator_svc.finisher.plan import MAX_FINISH_STEPS, finish_plan
from generator_svc.networks.conditions import Conditions
from generator_svc.service.engine import Engine, SamplePlan
from xenolith.contract.bounds import check_bounded
from xenolith.contract.wire import batch_from_proto
from xenolith.crystal import CrystalBatch
from xenolith.errors import FailedPreconditionError, invalid_field
from xenolith.v1 import generator_pb2

__all__ = [
    "DEFAULT_CHUNK",
    "LIMITS",
    "MAX_BATCH",
    "MAX_GUIDANCE",
    "MAX_MAGNITUDE",
    "MAX_SAMPLES",
    "NUM_TIMESTEPS",
    "decode_input",
    "encode_input",
    "sample_plan",
    "sampler_settings",
]

NUM_TIMESTEPS = 1000
"""Resolution at which the continuous schedule's times are reported."""
MAX_GUIDANCE = 100.0
"""Largest guidance scale; useful ones are below 10."""
MAX_SAMPLES = 10_000
"""Most samples in one request."""
MAX_BATCH = 4096
"""Most structures in a request to encode or decode."""
MAX_MAGNITUDE = 1e4
"""Largest size of a latent; those of crystals are a few units."""
DEFAULT_CHUNK = 64
"""Samples computed together unless the request asks for fewer."""
STEPS_OF_A_CHUNK = 6_400
"""Denoising steps of all samples of a chunk together: a long sampling answers piece by piece."""
_LONGEST_NAME = 4_096


LIMITS = {
    "num_samples": MAX_SAMPLES,
    "num_atoms": MAX_SAMPLES,
    "sampler.steps": NUM_TIMESTEPS,
    "sampler.guidance_scale": MAX_GUIDANCE,
    "cleanup.relax_steps": MAX_RELAX_STEPS,
    "cleanup.symmetrize_tolerance": MAX_TOLERANCE,
    "finishing.steps": MAX_FINISH_STEPS,
    "crystals.num_atoms": MAX_BATCH,
    "latents": MAX_MAGNITUDE,
}
"""The most that requests may ask for, as Describe names it."""


def sample_plan(request: generator_pb2.SampleRequest, engine: Engine) -> SamplePlan:
    """Check a SampleRequest and resolve everything it leaves open.

    Raises
    ------
    InvalidArgumentError, FailedPreconditionError
    """
    check_bounded(request, entries=MAX_SAMPLES, characters=_LONGEST_NAME)
    _expect_bundle(request.expected_bundle_digest, engine)
    check_conditions(request.conditions, engine.loaded.denoiser.config.conditions, engine.elements)
    finishing = finish_plan(request.finishing, engine.finishing)
    cleanup = cleanup_plan(request.cleanup, can_relax=engine.relaxer is not None)
    num_atoms = _atom_counts(request, engine)
    size = len(num_atoms)
    conditions = _conditions(request, num_atoms, engine)
    settings = sampler_settings(request.sampler, engine, conditional=conditions is not None)
    seeds = _seeds(request.sample_seeds, "sample_seeds", size)
    chunk = request.max_samples_per_message
    if chunk < 0:
        raise invalid_field("max_samples_per_message", f"is {chunk}, must not be negative")
    return SamplePlan(
        num_atoms=num_atoms,
        seeds=engine.draw_seeds(request.seed, size) if seeds is None else seeds,
        initial_seeds=_seeds(request.initial_noise_seeds, "initial_noise_seeds", size),
        settings=settings,
        chunk=min(chunk or DEFAULT_CHUNK, DEFAULT_CHUNK, max(1, STEPS_OF_A_CHUNK // settings.steps)),
        embeddings=request.return_embeddings,
        conditions=conditions,
        finishing=finishing,
        cleanup=cleanup,
    )


def sampler_settings(
    message: generator_pb2.SamplerSettings, engine: Engine, *, conditional: bool = False
) -> SamplerSettings:
    """Sampler settings with the bundle's defaults filled in; guidance is for conditional samples alone."""
    defaults = engine.loaded.bundle.manifest["sampler"]
    steps = message.steps if message.HasField("steps") else int(defaults["steps"])
    eta = message.eta if message.HasField("eta") else float(defaults["eta"])
    guidance = float(defaults["guidance_scale"]) if conditional else 1.0
    if message.HasField("guidance_scale"):
        guidance = message.guidance_scale
    if not 1 <= steps <= NUM_TIMESTEPS:
        raise invalid_field("sampler.steps", f"is {steps}, must be 1 to {NUM_TIMESTEPS}")
    if not 0 <= eta <= 1:
        raise invalid_field("sampler.eta", f"is {eta}, must be 0 to 1")
    if not 0 <= guidance <= MAX_GUIDANCE:
        raise invalid_field("sampler.guidance_scale", f"is {guidance}, must be 0 to {MAX_GUIDANCE:g}")
    if guidance != 1.0 and not conditional:
        raise invalid_field(
            "sampler.guidance_scale", f"is {guidance}; without a condition only 1 makes sense"
        )
    return SamplerSettings(steps=steps, eta=eta, guidance_scale=guidance)


def decode_input(
    request: generator_pb2.DecodeRequest, latents: NDArray[np.generic], engine: Engine
) -> NDArray[np.int64]:
    """Check a DecodeRequest; returns its atom counts."""
    _expect_autoencoder(request.expected_autoencoder_digest, engine, required=True)
    _check_batch("num_atoms", len(request.num_atoms))
    num_atoms = np.array(request.num_atoms, dtype=np.int64)
    width = engine.loaded.autoencoder.config.latent_dim
    _check_atom_counts(num_atoms, engine)
    if latents.shape != (num_atoms.sum(), width):
        raise invalid_field(
            "latents", f"has shape {latents.shape}, num_atoms needs ({num_atoms.sum()}, {width})"
        )
    if not np.isfinite(latents).all():
        raise invalid_field("latents", "holds NaN or infinity")
    if latents.size and np.abs(latents).max() > MAX_MAGNITUDE:
        raise invalid_field("latents", f"holds numbers beyond {MAX_MAGNITUDE:g}")
    return num_atoms


def encode_input(request: generator_pb2.EncodeRequest, engine: Engine) -> CrystalBatch:
    """Check an EncodeRequest; returns its crystals."""
    _expect_autoencoder(request.expected_autoencoder_digest, engine, required=False)
    _check_batch("crystals.num_atoms", len(request.crystals.num_atoms))
    return batch_from_proto(request.crystals)


def _check_batch(field: str, count: int) -> None:
    if count > MAX_BATCH:
        raise invalid_field(
            field, f"holds {count} structures, more than {MAX_BATCH}; send them in several requests"
        )


def _atom_counts(request: generator_pb2.SampleRequest, engine: Engine) -> NDArray[np.int64]:
    given = np.array(request.num_atoms, dtype=np.int64)
    wanted = request.num_samples
    if len(given) and wanted not in (0, len(given)):
        raise invalid_field("num_samples", f"is {wanted}, num_atoms has {len(given)} entries")
    size = len(given) or wanted
    if not 1 <= size <= MAX_SAMPLES:
        raise invalid_field("num_samples", f"asks for {size} samples, must be 1 to {MAX_SAMPLES}")
    if len(given):
        _check_atom_counts(given, engine)
        return given
    num_atoms = engine.draw_atom_counts(request.seed, size).astype(np.int64)
    for index, condition in enumerate(_per_sample(request, size)):
        if condition.composition:
            fitting = fitting_atom_counts(condition, int(engine.loaded.bundle.manifest["max_atoms"]))
            if not fitting:
                limit = engine.loaded.bundle.manifest["max_atoms"]
                raise invalid_field(
                    f"conditions[{index if len(request.conditions) > 1 else 0}].composition",
                    f"{formula(condition)} fills no cell of at most {limit} atoms, this bundle's limit",
                )
            num_atoms[index] = engine.draw_among(fitting, request.seed, index)
    return num_atoms


def _per_sample(request: generator_pb2.SampleRequest, size: int) -> Sequence[generator_pb2.Condition]:
    """One condition for each sample; empty where there are none at all."""
    given = request.conditions
    if len(given) not in (0, 1, size):
        raise invalid_field("conditions", f"has {len(given)} entries for {size} samples; give 1 or {size}")
    return list(given) * size if len(given) == 1 else list(given)


def _conditions(
    request: generator_pb2.SampleRequest, num_atoms: NDArray[np.int64], engine: Engine
) -> Conditions | None:
    conditions, config = _per_sample(request, len(num_atoms)), engine.loaded.denoiser.config.conditions
    if config is None or not any(c.composition or c.chemical_system or c.properties for c in conditions):
        return None
    return wanted_conditions(conditions, num_atoms.tolist(), config)


def _check_atom_counts(num_atoms: NDArray[np.int64], engine: Engine) -> None:
    limit = int(engine.loaded.bundle.manifest["max_atoms"])
    wrong = np.flatnonzero((num_atoms < 1) | (num_atoms > limit))
    if len(wrong):
        index = int(wrong[0])
        raise invalid_field(
            f"num_atoms[{index}]", f"is {num_atoms[index]}, this bundle makes 1 to {limit} atoms"
        )


def _seeds(values: object, field: str, size: int) -> NDArray[np.uint64] | None:
    seeds = np.array(values, dtype=np.uint64)
    if len(seeds) == 0:
        return None
    if len(seeds) != size:
        raise invalid_field(field, f"has {len(seeds)} entries for {size} samples")
    return seeds


def _expect_bundle(digest: str, engine: Engine) -> None:
    loaded = engine.loaded.bundle.digest
    if digest and digest != loaded:
        raise FailedPreconditionError(f"expected bundle {digest!r}, loaded is {loaded!r}")


def _expect_autoencoder(digest: str, engine: Engine, *, required: bool) -> None:
    loaded = engine.loaded.autoencoder_digest
    if required and not digest:
        raise invalid_field("expected_autoencoder_digest", f"is required; loaded is {loaded!r}")
    if digest and digest != loaded:
        raise FailedPreconditionError(f"expected autoencoder {digest!r}, loaded is {loaded!r}")
