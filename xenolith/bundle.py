"""Bundles: the unit that ships a model.

A bundle is a folder:

    bundle.json               manifest: sizes, latent statistics, atom-count prior, digests of the weights
    autoencoder.safetensors   averaged weights
    denoiser.safetensors      averaged weights
    finisher.safetensors      optional: averaged weights of what finishes decoded crystals
    card.json                 data, licence and measured figures
    predictors/NAME/          optional: a property predicted from latents, weights and what it reaches
    reference/                what the oracle compares with

Nothing in it is pickled. The bundle's digest is the SHA-256 of its manifest, which names the digests of the
weights, so it covers everything that decides what the model samples; card, predictors and reference are not
part of it (predictors and reference have digests of their own).
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "CARD",
    "DEFAULT_BUNDLE",
    "FORMAT",
    "MANIFEST",
    "PREDICTORS",
    "READABLE_FORMATS",
    "REFERENCE",
    "Bundle",
    "BundleError",
    "bundle_folders",
    "find_bundle",
    "read_bundle",
    "sha256",
]

FORMAT = 3
"""Format that is written. 3 added the finisher; 2 the denoiser's conditions and eight-bit weights."""
READABLE_FORMATS = (1, 2, 3)
"""Formats that are read."""
DEFAULT_BUNDLE = "mp20-small"
"""Name of the bundle that is taken where none is named."""
MANIFEST = "bundle.json"
"""File of the manifest in a bundle."""
CARD = "card.json"
"""File of the card."""
REFERENCE = "reference"
"""Folder of the reference."""
PREDICTORS = "predictors"
"""Folder of the predictors of properties."""


class BundleError(ValueError):
    """A bundle that is missing or damaged; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle on disk."""

    path: Path
    """Its folder."""
    manifest: dict[str, Any]
    """Parsed bundle.json."""

    @property
    def name(self) -> str:
        """Name on the manifest."""
        return str(self.manifest["name"])

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest in canonical form."""
        canonical = json.dumps(self.manifest, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def reference(self) -> Path:
        """Folder of the oracle's reference.

        Raises
        ------
        BundleError
            It has none of its own.
        """
        folder = self.path / REFERENCE
        if not folder.is_dir():
            raise BundleError(
                f"{self.path} has no reference of its own, which novelty and hull distances need: "
                f"lend it one, as in --reference {DEFAULT_BUNDLE}"
            )
        return folder

    @property
    def card(self) -> dict[str, Any]:
        """Parsed card.json; empty where there is none yet."""
        file = self.path / CARD
        return json.loads(file.read_text()) if file.exists() else {}

    @property
    def predictors(self) -> dict[str, dict[str, Any]]:
        """Parsed predictor.json of each property predictor that comes with the bundle, by name."""
        files = sorted((self.path / PREDICTORS).glob("*/predictor.json"))
        return {file.parent.name: json.loads(file.read_text()) for file in files}

    @property
    def parts(self) -> list[str]:
        """Networks that decide what is sampled."""
        return ["autoencoder", "denoiser", *(["finisher"] if "finisher" in self.manifest else [])]

    def file(self, part: str) -> Path:
        """Weight file of one of `parts`."""
        return self.path / str(self.manifest[part]["file"])

    def problems(self) -> list[str]:
        """Return disagreements with the manifest or the card; empty for a sound bundle."""
        found = []
        for part in self.parts:
            file = self.file(part)
            if not file.exists():
                found.append(f"{file} is missing")
            elif sha256(file) != self.manifest[part]["sha256"]:
                found.append(f"{file} does not have the digest that {MANIFEST} gives")
        for name, about in self.predictors.items():
            weights = self.path / PREDICTORS / name / "weights.safetensors"
            if not weights.exists() or sha256(weights) != about.get("sha256"):
                found.append(f"{weights} is missing, or not the one that its predictor.json names")
        card = self.card
        if card and card.get("digest") != self.digest:
            found.append(f"{CARD} was written for digest {card.get('digest')}, the bundle has {self.digest}")
        return found


def read_bundle(path: Path) -> Bundle:
    """Read the bundle in a folder.

    Raises
    ------
    BundleError
        No manifest, a manifest that is no JSON, or a newer format than this version reads.
    """
    file = path / MANIFEST
    if not file.exists():
        raise BundleError(f"{path} is no bundle: it has no {MANIFEST}")
    try:
        manifest = json.loads(file.read_text())
    except ValueError as error:
        raise BundleError(f"{file} is not valid JSON: {error}") from error
    if manifest.get("format") not in READABLE_FORMATS:
        known = ", ".join(map(str, READABLE_FORMATS))
        raise BundleError(
            f"{file} has format {manifest.get('format')}; this version of Xenolith reads {known}"
        )
    return Bundle(path=path, manifest=manifest)


def find_bundle(name: str | Path = DEFAULT_BUNDLE) -> Bundle:
    """Find a bundle by path, or by name in $XENOLITH_BUNDLES, ./bundles and the source checkout's bundles.

    Raises
    ------
    BundleError
        None of these places has it; the message lists them.
    """
    direct = Path(name)
    if (direct / MANIFEST).exists():
        return read_bundle(direct)
    for folder in bundle_folders():
        if (folder / name / MANIFEST).exists():
            return read_bundle(folder / name)
    looked = ", ".join(str(folder / name) for folder in bundle_folders())
    raise BundleError(f"no bundle {str(name)!r}: looked for a path of that name and in {looked}")


def bundle_folders() -> list[Path]:
    """Folders searched for bundles by name, in order."""
    chosen = os.environ.get("XENOLITH_BUNDLES")
    checkout = Path(__file__).resolve().parent.parent / "bundles"
    folders = [Path(chosen)] if chosen else []
    return [*folders, Path.cwd() / "bundles", checkout]


def sha256(file: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
