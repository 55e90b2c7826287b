"""A trained predictor: from latents to numbers with a unit, and the files it is kept in."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generator_svc.data.table import CrystalTable
from generator_svc.networks.autoencoder import Autoencoder
from generator_svc.networks.property_head import HeadConfig, PropertyHead
from generator_svc.networks.ragged import Ragged
from generator_svc.storage.bundle import LoadedBundle
from generator_svc.storage.tensors import load_weights, save_tensors
from generator_svc.storage.weights import pack, weights_digest
from xenolith.bundle import PREDICTORS, Bundle, sha256
from xenolith.errors import FailedPreconditionError, NotFoundError
from xenolith.files import read_json, without_nan, write_json

__all__ = [
    "ABOUT",
    "WEIGHTS",
    "Predictor",
    "add_predictor",
    "atom_features",
    "autoencoder_digest",
    "load_predictor",
    "load_predictors",
    "new_head",
    "save_predictor",
]

ABOUT, WEIGHTS = "predictor.json", "weights.safetensors"
_AT_ONCE = 512


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """Predicts one property of crystals from their latents."""

    column: str
    """Name of the labels it was trained on."""
    unit: str
    """Their unit."""
    head: PropertyHead
    autoencoder: Autoencoder
    """The one whose latents it reads."""
    figures: dict[str, Any]
    """How well it does, as measured when it was trained."""

    @torch.no_grad()
    def predict(
        self, latents: NDArray[np.float32] | Tensor, num_atoms: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Predict from latents.

        Parameters
        ----------
        latents
            (T, latent_dim) as the autoencoder encodes and decodes them. Samples of a generator are
            normalised: `predict_samples` takes those.
        num_atoms
            (B,) atoms of each crystal.

        Returns
        -------
        (B,) float32 in `unit`.
        """
        device = next(self.head.parameters()).device
        counts = torch.as_tensor(np.asarray(num_atoms, dtype=np.int64))
        if not len(counts):
            return np.empty(0, dtype=np.float32)
        parts = torch.as_tensor(latents, dtype=torch.float32).split(_portions(counts))
        found = []
        for part, of_part in zip(parts, counts.split(_AT_ONCE), strict=True):
            ragged = Ragged(of_part.to(device))
            found.append(
                self.head.value(atom_features(self.autoencoder, part.to(device), ragged), ragged).cpu()
            )
        return torch.cat(found).numpy()

    def predict_samples(
        self, bundle: LoadedBundle, latents: NDArray[np.float32], num_atoms: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Predict from the normalised latents that a generator with that bundle gave."""
        values = torch.as_tensor(np.asarray(latents, dtype=np.float32)).to(bundle.latent_mean.device)
        return self.predict(bundle.restore(values), num_atoms)

    @torch.no_grad()
    def predict_crystals(self, table: CrystalTable) -> NDArray[np.float32]:
        """Predict from crystals, through the encoder's means; (S,) float32 in `unit`."""
        device = next(self.head.parameters()).device
        found = [np.empty(0, dtype=np.float32)]
        for start in range(0, len(table), _AT_ONCE):
            crystals = table.take(np.arange(start, min(start + _AT_ONCE, len(table)))).tensors(device)
            mean, _ = self.autoencoder.encode(crystals)
            found.append(self.predict(mean, crystals.ragged.num_atoms.cpu().numpy()))
        return np.concatenate(found)


@torch.no_grad()
def atom_features(autoencoder: Autoencoder, latents: Tensor, ragged: Ragged) -> Tensor:
    """Return the features of each atom's latent, (T, latent_dim + width + 6 + max_atomic_number).

    The latent, the decoder's hidden state, which sees the other atoms, the cell it reads from them, and the
    probabilities of the elements.
    """
    hidden, coarse = autoencoder.decoder.read(latents, ragged)
    return torch.cat([latents, hidden, ragged.expand(coarse.cell), coarse.logits.softmax(dim=-1)], dim=-1)


def new_head(config: HeadConfig, autoencoder: Autoencoder) -> PropertyHead:
    """A head, untrained, that reads the `atom_features` of an autoencoder."""
    size = autoencoder.config
    return PropertyHead(config, size.latent_dim + size.width + 6, size.max_atomic_number)


def autoencoder_digest(autoencoder: Autoencoder) -> str:
    """SHA-256 of an autoencoder's weights in half precision, as bundles store them.

    The same for a training's folder and for the bundle made of it.
    """
    return weights_digest(pack(autoencoder.state_dict()))


def save_predictor(folder: Path, predictor: Predictor) -> None:
    """Write `weights.safetensors` and `predictor.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / WEIGHTS, predictor.head.state_dict())
    about = {
        "column": predictor.column,
        "unit": predictor.unit,
        "head": dataclasses.asdict(predictor.head.config),
        "sha256": sha256(folder / WEIGHTS),
        "autoencoder_sha256": autoencoder_digest(predictor.autoencoder),
        "figures": predictor.figures,
    }
    write_json(folder / ABOUT, without_nan(about))


def load_predictor(folder: Path, autoencoder: Autoencoder) -> Predictor:
    """Read a predictor.

    Raises
    ------
    NotFoundError
        The folder holds none.
    FailedPreconditionError
        It belongs to another autoencoder, or its weights are not those it names.
    """
    if not (folder / ABOUT).is_file():
        raise NotFoundError(f"{folder} holds no predictor: it has no {ABOUT}")
    about = read_json(folder / ABOUT)
    if (there := autoencoder_digest(autoencoder)) != about["autoencoder_sha256"]:
        raise FailedPreconditionError(
            f"{folder} reads latents of the autoencoder {about['autoencoder_sha256'][:12]}, this one is "
            f"{there[:12]}: train it anew with `xenolith pretrain property`"
        )
    if sha256(folder / WEIGHTS) != about["sha256"]:
        raise FailedPreconditionError(f"{folder / WEIGHTS} does not have the digest that {ABOUT} gives")
    head = new_head(HeadConfig(**about["head"]), autoencoder)
    load_weights(head, folder / WEIGHTS)
    device = next(autoencoder.parameters()).device
    return Predictor(
        column=about["column"],
        unit=about["unit"],
        head=head.to(device).eval().requires_grad_(False),
        autoencoder=autoencoder,
        figures=about["figures"],
    )


def load_predictors(loaded: LoadedBundle) -> dict[str, Predictor]:
    """Return the predictors that come with a bundle, by name; none is fine."""
    folder = loaded.bundle.path / PREDICTORS
    return {name: load_predictor(folder / name, loaded.autoencoder) for name in loaded.bundle.predictors}


def add_predictor(loaded: LoadedBundle, trained: Path, name: str | None = None) -> Bundle:
    """Copy a trained predictor into a bundle, under its column's name or another; the digest stays.

    Raises
    ------
    NotFoundError, FailedPreconditionError
        As `load_predictor`.
    """
    predictor = load_predictor(trained, loaded.autoencoder)
    save_predictor(loaded.bundle.path / PREDICTORS / (name or predictor.column), predictor)
    return loaded.bundle


def _portions(counts: Tensor) -> list[int]:
    return [int(part.sum()) for part in counts.split(_AT_ONCE)]
