"""Building and loading bundles: weights, latent statistics and atom-count prior of a generator."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from generator_svc.data.load import load_crystals
from generator_svc.data.table import CrystalTable
from generator_svc.finisher.network import Finisher, FinisherConfig
from generator_svc.finisher.plan import check_finishing
from generator_svc.networks.autoencoder import Autoencoder
from generator_svc.networks.denoiser import Denoiser, denoiser_config
from generator_svc.storage.finished import (
    LATENTS_FILE,
    autoencoder_of_bundle,
    load_autoencoder,
    same_encoder,
)
from generator_svc.storage.folder import read_run
from generator_svc.storage.run_settings import DenoiserRun, FinisherRun
from generator_svc.storage.tensors import load_weights, save_tensors
from generator_svc.storage.weights import Storage, pack, unpack
from xenolith.bundle import CARD, FORMAT, MANIFEST, Bundle, BundleError, read_bundle, sha256
from xenolith.errors import NotFoundError
from xenolith.files import read_json, without_nan, write_json

__all__ = ["LoadedBundle", "add_finisher", "build_bundle", "load_bundle", "write_bundle", "write_card"]


@dataclass(frozen=True, kw_only=True)
class LoadedBundle:
    """A bundle's networks in memory, frozen, on one device."""

    bundle: Bundle
    autoencoder: Autoencoder
    denoiser: Denoiser
    latent_mean: Tensor
    """(latent_dim,) mean of each latent channel over the training set."""
    latent_std: Tensor
    """(latent_dim,) its standard deviation."""
    finisher: Finisher | None
    """Finishes decoded crystals; not every bundle has one."""
    atom_counts: NDArray[np.int64]
    """(K,) atom counts of the prior."""
    atom_count_probabilities: NDArray[np.float64]
    """(K,) their probabilities, summing to 1."""

    @property
    def autoencoder_digest(self) -> str:
        """SHA-256 of the autoencoder's weight file."""
        return str(self.bundle.manifest["autoencoder"]["sha256"])

    @property
    def denoiser_digest(self) -> str:
        """SHA-256 of the denoiser's weight file."""
        return str(self.bundle.manifest["denoiser"]["sha256"])

    @property
    def finisher_digest(self) -> str:
        """SHA-256 of the finisher's weight file; empty where there is none."""
        return "" if self.finisher is None else str(self.bundle.manifest["finisher"]["sha256"])

    def normalise(self, latents: Tensor) -> Tensor:
        """Encoder's latents to what the denoiser sees."""
        return (latents - self.latent_mean) / self.latent_std

    def restore(self, latents: Tensor) -> Tensor:
        """Inverse of `normalise`."""
        return latents * self.latent_std + self.latent_mean


def load_bundle(bundle: Bundle, device: torch.device | str = "cpu") -> LoadedBundle:
    """Read a bundle's networks after checking the digests of their files.

    Raises
    ------
    BundleError
        A file is missing or its digest is not the manifest's.
    """
    problems = bundle.problems()
    if problems:
        raise BundleError("; ".join(problems))
    manifest = bundle.manifest
    denoiser = Denoiser(denoiser_config(manifest["denoiser"]["config"]))
    denoiser.load_state_dict(unpack(load_file(bundle.file("denoiser"))))
    prior = manifest["atom_count_prior"]
    probabilities = np.array(list(prior.values()), dtype=float)
    return LoadedBundle(
        bundle=bundle,
        autoencoder=autoencoder_of_bundle(bundle).to(device),
        denoiser=denoiser.to(device).eval().requires_grad_(False),
        latent_mean=torch.tensor(manifest["latents"]["mean"], device=device),
        latent_std=torch.tensor(manifest["latents"]["std"], device=device),
        finisher=_finisher_of_bundle(bundle, device),
        atom_counts=np.array([int(count) for count in prior]),
        atom_count_probabilities=probabilities / probabilities.sum(),
    )


def _finisher_of_bundle(bundle: Bundle, device: torch.device | str) -> Finisher | None:
    if "finisher" not in bundle.manifest:
        return None
    finisher = Finisher(FinisherConfig(**bundle.manifest["finisher"]["config"]))
    finisher.load_state_dict(unpack(load_file(bundle.file("finisher"))))
    return finisher.to(device).eval().requires_grad_(False)


def add_finisher(
    bundle: Bundle, run: Path, *, steps: int, noise: float, storage: Storage = "float16"
) -> Bundle:
    """Let a finisher come with a bundle, in place of any that it has; its card goes, as its figures change.

    Parameters
    ----------
    bundle
        Its digest changes.
    run
        Folder of `xenolith pretrain finisher`.
    steps, noise
        How crystals are finished unless a request says otherwise; noise in Angstrom.
    storage
        How the finisher's matrices are stored.

    Raises
    ------
    InvalidArgumentError
        Steps or noise are out of range.
    NotFoundError
        The training has not finished.
    BundleError
        It does not know all of the bundle's elements.
    """
    check_finishing(steps, noise)
    settings = read_run(run, FinisherRun)
    weights = run / "finisher.safetensors"
    if not weights.exists():
        raise NotFoundError(f"{run} holds no finished finisher: run `xenolith pretrain finisher`")
    _check_elements(settings.model, bundle.manifest["elements"], str(run), bundle.name)
    finisher = Finisher(settings.model)
    load_weights(finisher, weights)
    (bundle.path / CARD).unlink(missing_ok=True)
    save_tensors(bundle.path / "finisher.safetensors", pack(finisher.state_dict(), storage))
    manifest = bundle.manifest | {
        "format": FORMAT,
        "finisher": _part(bundle.path, "finisher", dataclasses.asdict(finisher.config)),
        "finishing": {"steps": steps, "noise": noise},
    }
    write_json(bundle.path / MANIFEST, manifest)
    return read_bundle(bundle.path)


def build_bundle(
    denoiser_run: Path,
    folder: Path,
    name: str,
    *,
    storage: Storage = "float16",
    autoencoder_run: Path | None = None,
) -> Bundle:
    """Assemble a bundle from a finished denoiser run; reference and card are left as they are.

    Parameters
    ----------
    denoiser_run
        Folder of `xenolith pretrain denoiser`.
    folder, name
        Where the bundle goes, and its name.
    storage
        How the denoiser's matrices are stored.
    autoencoder_run
        Run of an autoencoder with the same encoder, such as one whose decoder was trained
        further (`freeze_encoder`); the denoiser's own by default.

    Raises
    ------
    NotFoundError
        The run has not finished.
    BundleError
        The encoder of `autoencoder_run` is another one.
    """
    run = read_run(denoiser_run, DenoiserRun)
    weights = denoiser_run / "denoiser.safetensors"
    if not weights.exists():
        raise NotFoundError(f"{denoiser_run} holds no finished denoiser: run `xenolith pretrain denoiser`")
    denoiser = Denoiser(run.model)
    load_weights(denoiser, weights)
    statistics = read_json(denoiser_run / LATENTS_FILE)
    autoencoder = load_autoencoder(run.autoencoder)
    table = load_crystals(run.data, max_atomic_number=autoencoder.config.max_atomic_number)
    if autoencoder_run is not None:
        own, autoencoder = autoencoder, load_autoencoder(autoencoder_run)
        _expect_same_encoder(own, autoencoder, autoencoder_run)
    return write_bundle(folder, name, autoencoder, denoiser, statistics, table, storage)


def _expect_same_encoder(own: Autoencoder, other: Autoencoder, run: Path) -> None:
    """Another encoder would give the denoiser's latents another meaning."""
    if not same_encoder(own, other):
        raise BundleError(
            f"{run} has another encoder than the denoiser was trained on; train with freeze_encoder = true"
        )


def write_bundle(
    folder: Path,
    name: str,
    autoencoder: Autoencoder,
    denoiser: Denoiser,
    latents: dict[str, list[float]],
    table: CrystalTable,
    storage: Storage = "float16",
) -> Bundle:
    """Write weights and manifest; `table` gives the atom-count prior and the elements.

    `storage` is how the denoiser's matrices are kept; what is stored is what is loaded and measured. A
    finisher that came with the bundle before stays: it works in real space, whatever makes its input.

    Raises
    ------
    BundleError
        That finisher does not know all of the bundle's elements.
    """
    elements = [int(z) for z in np.unique(table.numbers)]
    kept = _finisher_before(folder, elements, name)
    counts, occurrences = np.unique(table.num_atoms, return_counts=True)
    (folder / CARD).unlink(missing_ok=True)  # its figures are of the weights that are replaced now
    save_tensors(folder / "autoencoder.safetensors", pack(autoencoder.state_dict()))
    save_tensors(folder / "denoiser.safetensors", pack(denoiser.state_dict(), storage))
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "max_atoms": int(counts.max()),
        "elements": elements,
        "autoencoder": _part(folder, "autoencoder", dataclasses.asdict(autoencoder.config)),
        "denoiser": _part(folder, "denoiser", dataclasses.asdict(denoiser.config)),
        "latents": latents,
        "atom_count_prior": {str(c): int(k) / len(table) for c, k in zip(counts, occurrences, strict=True)},
        "sampler": {"steps": 50, "eta": 1.0, "guidance_scale": 1.0},
        **kept,
    }
    write_json(folder / MANIFEST, manifest)
    return read_bundle(folder)


def _finisher_before(folder: Path, elements: list[int], name: str) -> dict[str, Any]:
    """Entries of the manifest for the finisher of the bundle that is built anew; empty without one."""
    if not (folder / MANIFEST).exists():
        return {}
    manifest = read_bundle(folder).manifest
    if "finisher" not in manifest:
        return {}
    _check_elements(
        FinisherConfig(**manifest["finisher"]["config"]), elements, f"the finisher in {folder}", name
    )
    return {key: manifest[key] for key in ("finisher", "finishing")}


def _check_elements(config: FinisherConfig, elements: list[int], owner: str, bundle: str) -> None:
    if (heaviest := max(elements)) > config.max_atomic_number:
        raise BundleError(
            f"{owner} knows elements up to {config.max_atomic_number}, {bundle} makes {heaviest}"
        )


def write_card(bundle: Bundle, figures: dict[str, Any]) -> None:
    """Write card.json with the bundle's name, size and digest beside the given entries."""
    manifest = bundle.manifest
    head = {"name": bundle.name, "max_atoms": manifest["max_atoms"], "digest": bundle.digest}
    conditions = denoiser_config(manifest["denoiser"]["config"]).conditions
    if conditions is not None:
        units = {scalar.name: scalar.unit for scalar in conditions.scalars}
        head["conditions"] = {kind: units.get(kind, "") for kind in conditions.kinds}
    write_json(bundle.path / CARD, without_nan(head | figures))


def _part(folder: Path, part: str, config: dict[str, Any]) -> dict[str, Any]:
    file = f"{part}.safetensors"
    return {"file": file, "sha256": sha256(folder / file), "config": config}
