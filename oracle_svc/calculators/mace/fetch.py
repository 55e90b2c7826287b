"""Published MACE models by name: `python -m oracle_svc.calculators.mace.fetch --help`.

A model is downloaded once, compared with the digest that is written here, converted to plain data by
`mace_convert` in a process of its own (a checkpoint is a Python pickle: reading it runs what it contains),
and kept in the user's cache folder. Only a whole, verified model ever appears there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from xenolith.datasets.download import download_file, sha256_of
from xenolith.errors import DataLossError, UnavailableError
from xenolith.files import locked

__all__ = ["PUBLISHED", "PublishedModel", "fetch", "install", "main", "models_folder"]

log = structlog.get_logger(__name__)
_CONVERSION_LIMIT_S = 900.0


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """A model that its authors have published."""

    name: str
    """Name in settings, and id under which its energies go."""
    url: str
    """Where its authors publish it."""
    size: int
    """Bytes."""
    sha256: str
    """SHA-256 (hex) of the published file."""
    scheme: str
    """Energy scheme of its training data."""
    licence: str
    """Licence of the weights."""

    @property
    def folder(self) -> str:
        """Name of its folder among the models."""
        return f"{self.name}-{self.sha256[:12]}"


PUBLISHED: Final = {
    model.name: model
    for model in [
        # The address is the one in mace-torch's own code. The digest and size are those that several projects
        # independently list for the file.
        PublishedModel(
            name="mace-mpa-0",
            url="https://github.com/ACEsuit/mace-mp/releases/download/mace_mpa_0/mace-mpa-0-medium.model",
            size=79_462_305,
            sha256="75428afe3a1d7d8062e19bcaabd5c433623cabf308242ec9fb493e38604fb638",
            scheme="uncorrected PBE/PBE+U of MPtrj and sAlex",
            licence="MIT, MACE-MPA-0 by I. Batatia et al.",
        )
    ]
}


def models_folder() -> Path:
    """Where models are kept: `xenolith/models` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xenolith" / "models"


def fetch(name: str, *, source: Path | None = None) -> tuple[PublishedModel, Path]:
    """Return a published model and the folder of its converted files, after downloading it if need be.

    Parameters
    ----------
    name
        One of `PUBLISHED`.
    source
        A copy of the published file that is already on this machine; None: download it.

    Raises
    ------
    ValueError
        If there is no such model, it cannot be had, or what arrived is not what was published.
    """
    if name not in PUBLISHED:
        raise ValueError(f"no published MACE model {name!r}: there is {', '.join(PUBLISHED)}; or give a path")
    model = PUBLISHED[name]
    return model, install(model, models_folder(), source=source)


def install(model: PublishedModel, root: Path, *, source: Path | None = None) -> Path:
    """Make sure that a model's converted files are in a folder of `root`, and return the folder.

    Processes that want the same model wait for the first.

    Raises
    ------
    ValueError
        As `fetch`.
    """
    folder = root / model.folder
    if folder.is_dir():
        return folder
    root.mkdir(parents=True, exist_ok=True)
    with locked(root / f".{model.folder}.lock"):
        if not folder.is_dir():
            _install(model, folder, source)
    return folder


def _install(model: PublishedModel, folder: Path, source: Path | None) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{model.name}-") as scratch:
        checkpoint = source or _downloaded(model, Path(scratch) / "published.model")
        digest = sha256_of(checkpoint)
        if digest != model.sha256:
            raise ValueError(f"{checkpoint} has SHA-256 {digest}, not {model.sha256} of {model.name}")
        converted = Path(scratch) / "converted"
        _convert(checkpoint, converted)
        shutil.move(converted, folder)
    log.info("MACE model ready", model=model.name, folder=str(folder))


def _downloaded(model: PublishedModel, target: Path) -> Path:
    log.info("downloading a MACE model", model=model.name, url=model.url, megabytes=round(model.size / 1e6))
    try:
        return download_file(model.url, target, model.sha256, _told(model))
    except (UnavailableError, DataLossError, OSError) as error:
        raise ValueError(
            f"the MACE model {model.name} cannot be downloaded: {error}. Without network, fetch {model.url} "
            f"elsewhere, then run: python -m oracle_svc.calculators.mace.fetch {model.name} --from FILE"
        ) from error


def _told(model: PublishedModel) -> Callable[[int], None]:
    """A listener that logs every tenth of the download."""
    done, told = 0, 0

    def arrived(count: int) -> None:
        nonlocal done, told
        done += count
        tenth = 10 * done // model.size
        if tenth > told:
            told = tenth
            log.info("downloading", model=model.name, percent=10 * tenth)

    return arrived


def _convert(checkpoint: Path, folder: Path) -> None:
    """Convert in a process of its own, which ends with whatever the pickle did."""
    command = [sys.executable, "-m", "oracle_svc.calculators.mace.convert", str(checkpoint), str(folder)]
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [*command, "--trust"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=_CONVERSION_LIMIT_S,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ValueError(f"{checkpoint} could not be converted: {last}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch from the command line."""
    parser = argparse.ArgumentParser(prog="python -m oracle_svc.calculators.mace.fetch", description=__doc__)
    parser.add_argument("name", choices=sorted(PUBLISHED))
    parser.add_argument("--from", dest="source", type=Path, help="the published file, if it is here already")
    given = parser.parse_args(arguments)
    try:
        _, folder = fetch(given.name, source=given.source)
    except (ValueError, OSError) as error:
        parser.exit(1, f"{error}\n")
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    sys.exit(main())
