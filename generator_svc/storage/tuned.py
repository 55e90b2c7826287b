"""Bundles that sample with another policy than the one they were built with, such as a run's."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from generator_svc.networks.denoiser import Denoiser, denoiser_config
from generator_svc.storage.tensors import save_tensors
from generator_svc.storage.weights import Storage, pack, unpack
from xenolith.bundle import (
    CARD,
    FORMAT,
    MANIFEST,
    PREDICTORS,
    REFERENCE,
    Bundle,
    BundleError,
    read_bundle,
    sha256,
)
from xenolith.errors import InvalidArgumentError
from xenolith.files import write_json

__all__ = ["bundle_with_policy"]


def bundle_with_policy(
    source: Bundle,
    weights: Mapping[str, Tensor],
    folder: Path,
    name: str,
    *,
    origin: dict[str, Any],
    storage: Storage = "float32",
) -> Bundle:
    """Write a bundle that is another one but for its denoiser's weights; it has no card yet.

    Parameters
    ----------
    source
        Its autoencoder, finisher, reference and predictors are taken over as they are.
    weights
        Of a denoiser of the same architecture.
    folder, name
        Where the bundle goes, and its name.
    origin
        Where the weights come from, for the manifest.
    storage
        How the denoiser's matrices are stored; in float32 it samples bit for bit as the weights do.

    Raises
    ------
    InvalidArgumentError
        The folder is that of `source`.
    BundleError
        The weights do not fit, or a file of `source` is not that of its manifest.
    """
    if folder.resolve() == source.path.resolve():
        raise InvalidArgumentError(
            f"{folder} is the bundle that the policy was trained on; give another --name"
        )
    if problems := source.problems():
        raise BundleError("; ".join(problems))
    config = source.manifest["denoiser"]["config"]
    packed = pack(weights, storage)
    try:
        Denoiser(denoiser_config(config)).load_state_dict(unpack(packed))
    except RuntimeError as error:
        raise BundleError(f"the policy's weights are not of {source.name}'s architecture: {error}") from error
    (folder / CARD).unlink(missing_ok=True)  # its figures would be of other weights
    save_tensors(folder / "denoiser.safetensors", packed)
    for part in source.parts:
        if part != "denoiser":
            shutil.copyfile(source.file(part), folder / source.manifest[part]["file"])
    for beside in (REFERENCE, PREDICTORS):
        shutil.rmtree(folder / beside, ignore_errors=True)
        if (source.path / beside).is_dir():
            shutil.copytree(source.path / beside, folder / beside)
    denoiser = {
        "file": "denoiser.safetensors",
        "sha256": sha256(folder / "denoiser.safetensors"),
        "config": config,
    }
    manifest = {**source.manifest, "format": FORMAT, "name": name, "denoiser": denoiser, "origin": origin}
    write_json(folder / MANIFEST, manifest)
    return read_bundle(folder)
