"""Results of finished trainings: autoencoders, and how a denoiser's weights read their inputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import structlog
import torch
from torch import Tensor

from generator_svc.networks.autoencoder import Autoencoder, AutoencoderConfig
from generator_svc.networks.conditions import ConditionsConfig, ScalarCondition
from generator_svc.networks.denoiser import denoiser_config
from generator_svc.storage.folder import RUN_FILE, read_run
from generator_svc.storage.run_settings import AutoencoderRun, DenoiserRun
from generator_svc.storage.tensors import load_weights, read_tensors
from generator_svc.storage.weights import unpack
from xenolith.bundle import MANIFEST, Bundle, BundleError, find_bundle, read_bundle
from xenolith.errors import InvalidArgumentError, NotFoundError
from xenolith.files import read_json

__all__ = [
    "LATENTS_FILE",
    "Origin",
    "autoencoder_of_bundle",
    "load_autoencoder",
    "read_origin",
    "same_encoder",
]

log = structlog.get_logger()

LATENTS_FILE = "latents.json"
_HALF_PRECISION = {"rtol": 1e-3, "atol": 1e-5}
"""What weights lose in a bundle."""


def load_autoencoder(source: Path) -> Autoencoder:
    """The averaged autoencoder of a finished run's folder, or a bundle's (by name or folder), frozen.

    Raises
    ------
    NotFoundError
        The folder holds none.
    BundleError
        There is neither a folder nor a bundle of that name.
    """
    if source.is_dir() and not (source / MANIFEST).exists():
        return _autoencoder_of_run(source)
    return autoencoder_of_bundle(find_bundle(source))


@dataclass(frozen=True)
class Origin:
    """How the crystals that a denoiser was trained on became its inputs."""

    mean: Tensor
    """(latent_dim,) subtracted from the encoder's latents."""
    std: Tensor
    """(latent_dim,) that they were divided by."""
    scalars: dict[str, ScalarCondition] = field(default_factory=dict)
    """Columns that it learnt, with the mean and deviation that standardised them."""


def read_origin(weights: Path, autoencoder: Autoencoder) -> Origin:
    """Read what a denoiser's weights were trained under, from the run or the bundle whose folder they are in.

    Parameters
    ----------
    weights
        Its safetensors file.
    autoencoder
        The one whose latents it is to be given now.

    Raises
    ------
    NotFoundError
        The folder says nothing of it.
    InvalidArgumentError
        The weights were trained on the latents of another encoder.
    """
    folder = weights.parent
    if (folder / MANIFEST).exists():
        bundle = read_bundle(folder)
        latents = bundle.manifest["latents"]
        conditions = denoiser_config(bundle.manifest["denoiser"]["config"]).conditions
        own: Autoencoder | None = autoencoder_of_bundle(bundle)
    elif (folder / LATENTS_FILE).exists() and (folder / RUN_FILE).exists():
        run = read_run(folder, DenoiserRun)
        latents = read_json(folder / LATENTS_FILE)
        conditions = run.model.conditions
        own = _autoencoder_if_there(run.autoencoder)
    else:
        raise NotFoundError(
            f"initial_weights {weights}: its folder has neither {LATENTS_FILE} and {RUN_FILE} of a training "
            f"nor {MANIFEST}, so nothing says how its latents were standardised; name the file where it was "
            "written"
        )
    if own is not None and not same_encoder(own, autoencoder, **_HALF_PRECISION):
        raise InvalidArgumentError(
            f"initial_weights {weights}: trained on the latents of another encoder; set autoencoder to it"
        )
    return Origin(torch.tensor(latents["mean"]), torch.tensor(latents["std"]), _scalars(conditions))


def same_encoder(one: Autoencoder, other: Autoencoder, *, rtol: float = 0.0, atol: float = 0.0) -> bool:
    """Whether two encoders have the same weights, within tolerances."""
    ours, theirs = one.encoder.state_dict(), other.encoder.state_dict()
    return ours.keys() == theirs.keys() and all(
        value.shape == theirs[name].shape
        and torch.allclose(value.cpu(), theirs[name].cpu(), rtol=rtol, atol=atol)
        for name, value in ours.items()
    )


def _autoencoder_of_run(directory: Path) -> Autoencoder:
    run = read_run(directory, AutoencoderRun)
    model = Autoencoder(AutoencoderConfig(**vars(run.model)))
    weights = directory / "autoencoder.safetensors"
    if not weights.exists():
        raise NotFoundError(f"{directory} holds no finished autoencoder: run `xenolith pretrain autoencoder`")
    load_weights(model, weights)
    return model.eval().requires_grad_(False)


def autoencoder_of_bundle(bundle: Bundle) -> Autoencoder:
    """A bundle's autoencoder, frozen; whether its file is the manifest's is not checked here."""
    model = Autoencoder(AutoencoderConfig(**bundle.manifest["autoencoder"]["config"]))
    model.load_state_dict(unpack(read_tensors(bundle.file("autoencoder"))))
    return model.eval().requires_grad_(False)


def _autoencoder_if_there(source: Path) -> Autoencoder | None:
    """None, and a log line, where a training's autoencoder has been moved away since."""
    try:
        return load_autoencoder(source)
    except (NotFoundError, BundleError):
        log.warning("autoencoder of initial_weights is gone and cannot be compared", autoencoder=str(source))
        return None


def _scalars(conditions: ConditionsConfig | None) -> dict[str, ScalarCondition]:
    return {} if conditions is None else {scalar.name: scalar for scalar in conditions.scalars}
