"""The figures on a bundle's card: measuring them, and comparing a second measurement with them."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from xenolith.bundle import Bundle
from xenolith.cli.progress import Progress
from xenolith.cli.services import services
from xenolith.client.results.runs import evaluation_dict
from xenolith.errors import InvalidArgumentError
from xenolith.optional import require

__all__ = ["Comparison", "compare", "distributions", "reconstruction", "sampling"]

TOLERANCE = 0.01
"""Largest difference of two measurements with the same seeds: other processors round differently, and a
sample that sits on a threshold may fall to its other side."""


def reconstruction(given: argparse.Namespace, bundle: Bundle, out: Any) -> dict[str, float | int]:
    """Measure how well the autoencoder reconstructs the crystals of ``--data``."""
    if given.data is None:
        raise InvalidArgumentError(
            "--data is needed: a parquet file of crystals, such as that of `xenolith data fetch mp-20`"
        )
    maker: Any = require("generator_svc.card", "generator")
    with Progress(out) as progress:
        progress.update("reconstruct", 0, None)
        figures: dict[str, float | int] = maker.autoencoder_figures(bundle, given.data, given.split)
    return figures


def distributions(given: argparse.Namespace, bundle: Bundle, out: Any) -> dict[str, float | int]:
    """Compare how ``-n`` samples and the crystals of ``--data`` are spread; call after `reconstruction`."""
    maker: Any = require("generator_svc.card", "generator")
    with Progress(out) as progress:
        figures: dict[str, float | int] = maker.distribution_figures(
            bundle,
            given.data,
            given.split,
            given.n,
            given.seed,
            lambda done: progress.update("sample", done, given.n),
        )
    return figures


def sampling(given: argparse.Namespace, bundle: Bundle, out: Any) -> dict[str, Any]:
    """Measure ``-n`` samples of the base policy, with the bundle's own sampler."""
    given.bundle, sampler = str(bundle.path), bundle.manifest["sampler"]
    settings: dict[str, Any] = {"sampler": {key: sampler[key] for key in ("steps", "eta")}}
    if given.relax:
        settings["relax"] = {}
    with services(given, "trainer", out) as client, Progress(out) as progress:
        evaluation = client.trainer.evaluate(
            "",
            n=given.n,
            seed=given.seed,
            settings=settings,
            on_progress=lambda stage, done, total: progress.update(stage, done, total or None),
        )
    return {**evaluation_dict(evaluation), "sampler": sampler, "seed": given.seed}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One figure of the card beside its second measurement."""

    name: str
    card: float
    measured: float

    @property
    def agrees(self) -> bool:
        """Whether both are the same, rounding apart."""
        return abs(self.card - self.measured) <= TOLERANCE * max(1.0, abs(self.card))

    @property
    def sentence(self) -> str:
        """Return the problem as a sentence for the user."""
        return f"{self.name} is {self.card:.4g} on the card and measured {self.measured:.4g}"

    @property
    def row(self) -> tuple[str, ...]:
        """Cells of a table."""
        return (self.name, f"{self.card:.4g}", f"{self.measured:.4g}", "" if self.agrees else "differs")

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"name": self.name, "card": self.card, "measured": self.measured, "agrees": self.agrees}


def compare(card: Mapping[str, Any], measured: Mapping[str, Any], prefix: str = "") -> list[Comparison]:
    """Every number of the card that was measured again, nested entries by dotted names.

    The count of reconstructed crystals is left out: a data set can be had in editions of a few more or less.
    """
    found: list[Comparison] = []
    for key, value in card.items():
        if f"{prefix}{key}" == "autoencoder.n":
            continue
        again = measured.get(key)
        if isinstance(value, Mapping) and isinstance(again, Mapping):
            found += compare(value, again, f"{prefix}{key}.")
        elif _number(value) and _number(again):
            found.append(Comparison(name=f"{prefix}{key}", card=float(value), measured=float(again)))
    return found


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
