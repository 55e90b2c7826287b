"""Conditions that samples are drawn under, and their embedding for the denoiser.

Three kinds: the exact composition, the chemical system, and scalar columns such as a band gap. Every
structure of a batch carries any of them or none; what it does not carry adds exactly nothing to its
embedding, so that conditional and unconditional structures share a batch, and a batch without conditions is
the plain denoiser.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from generator_svc.networks.ragged import Ragged

__all__ = ["ConditionEmbedding", "Conditions", "ConditionsConfig", "ScalarCondition", "conditions_of"]


@dataclass(frozen=True, kw_only=True)
class ScalarCondition:
    """A scalar column the denoiser was trained on."""

    name: str
    """Column of the training file, such as band_gap."""
    unit: str = ""
    """Its unit, such as eV."""
    mean: float = 0.0
    """Mean over the labelled training crystals, in that unit."""
    std: float = 1.0
    """Standard deviation over the same."""


@dataclass(frozen=True, kw_only=True)
class ConditionsConfig:
    """Which conditions a denoiser embeds."""

    composition: bool = False
    """Exact composition."""
    chemical_system: bool = False
    """Set of elements."""
    scalars: tuple[ScalarCondition, ...] = ()
    """Scalar columns."""
    max_atomic_number: int = 100
    """Elements 1 to this one have an input."""
    element_prior: bool = False
    """Whether wanted elements also tell each atom what latent to expect, see `element_prior`."""

    def __post_init__(self) -> None:
        names = [scalar.name for scalar in self.scalars]
        wrong = [name for name in names if not name.isidentifier() or names.count(name) > 1]
        if wrong:
            raise ValueError(f"scalar condition {wrong[0]!r} must be a plain column name, given once")

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of all conditions: composition, chemical_system, then the scalars."""
        fixed = ("composition",) * self.composition + ("chemical_system",) * self.chemical_system
        return (*fixed, *(scalar.name for scalar in self.scalars))


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Conditions of B structures. What a structure does not carry is a row of zeros, or NaN."""

    composition: Tensor
    """(B, Z) fraction of each element, index = atomic number - 1; zeros: no composition wanted."""
    chemical_system: Tensor
    """(B, Z) 1 for each element of the system; zeros: any."""
    scalars: Tensor
    """(B, K) values in the config's order and units; NaN: any."""

    @staticmethod
    def none(size: int, config: ConditionsConfig, device: torch.device | None = None) -> Conditions:
        """Conditions of `size` structures that carry none."""
        return Conditions(
            composition=torch.zeros(size, config.max_atomic_number, device=device),
            chemical_system=torch.zeros(size, config.max_atomic_number, device=device),
            scalars=torch.full((size, len(config.scalars)), torch.nan, device=device),
        )

    @cached_property
    def carried(self) -> Tensor:
        """(B, 2 + K) bool, which conditions a structure carries: composition, chemical system, scalars."""
        elements = [(given.sum(1) > 0)[:, None] for given in (self.composition, self.chemical_system)]
        return torch.cat([*elements, torch.isfinite(self.scalars)], dim=1)

    @cached_property
    def rows(self) -> Tensor:
        """(G,) structures that carry any condition."""
        return self.carried.any(dim=1).nonzero().squeeze(1)

    @property
    def table(self) -> Tensor:
        """(B, 2 Z + 2 K): rows are equal where conditions are, NaN being a number here."""
        given = torch.isfinite(self.scalars)
        scalars = torch.cat([self.scalars.masked_fill(~given, 0.0), given.to(self.scalars.dtype)], dim=1)
        return torch.cat([self.composition, self.chemical_system, scalars], dim=1)

    def take(self, rows: Tensor) -> Conditions:
        """Conditions of the given structures, in the given order."""
        return self._map(lambda value: value[rows])

    def to(self, device: torch.device) -> Conditions:
        """The same on another device."""
        return self._map(lambda value: value.to(device))

    def keep(self, kept: Tensor) -> Conditions:
        """Drop what (B, 2 + K) or (1, 2 + K) bool `kept`, in the order of `carried`, says false to."""
        return Conditions(
            composition=self.composition.masked_fill(~kept[:, 0:1], 0.0),
            chemical_system=self.chemical_system.masked_fill(~kept[:, 1:2], 0.0),
            scalars=self.scalars.masked_fill(~kept[:, 2:], torch.nan),
        )

    def followed_by_none(self, size: int) -> Conditions:
        """These, then `size` structures that carry none."""

        def extended(value: Tensor, fill: float) -> Tensor:
            return torch.cat([value, value.new_full((size, value.shape[1]), fill)])

        return Conditions(
            composition=extended(self.composition, 0.0),
            chemical_system=extended(self.chemical_system, 0.0),
            scalars=extended(self.scalars, torch.nan),
        )

    def _map(self, change: Callable[[Tensor], Tensor]) -> Conditions:
        return Conditions(
            composition=change(self.composition),
            chemical_system=change(self.chemical_system),
            scalars=change(self.scalars),
        )


def conditions_of(
    numbers: Tensor, ragged: Ragged, scalars: Tensor, max_atomic_number: int = 100
) -> Conditions:
    """All that B crystals could be conditioned on.

    Parameters
    ----------
    numbers
        (T,) atomic numbers, 1 to max_atomic_number.
    ragged
        Their layout.
    scalars
        (B, K) labels, NaN where missing.
    max_atomic_number
        Elements of the vectors.
    """
    slots = ragged.structure_index * max_atomic_number + numbers - 1
    counts = torch.bincount(slots, minlength=ragged.size * max_atomic_number).float()
    counts = counts.view(ragged.size, max_atomic_number)
    return Conditions(
        composition=counts / ragged.num_atoms[:, None],
        chemical_system=(counts > 0).float(),
        scalars=scalars,
    )


class ConditionEmbedding(nn.Module):
    """Sum of one small network per kind of condition; each starts as zero."""

    def __init__(self, config: ConditionsConfig, width: int) -> None:
        super().__init__()
        self.config = config
        elements = config.max_atomic_number
        self.composition = _network(3 * elements, width, sparse=True) if config.composition else None
        self.chemical_system = _network(elements, width, sparse=True) if config.chemical_system else None
        self.scalars = nn.ModuleDict(
            {scalar.name: _network(1 + 2 * _FREQUENCIES, width) for scalar in config.scalars}
        )

    def forward(self, conditions: Conditions, ragged: Ragged) -> Tensor:
        """(B, width), exactly zero for structures without a condition of the kinds in the config."""
        parts = []
        if self.composition is not None:
            features = _composition_features(conditions.composition, ragged.num_atoms)
            parts.append((0, self.composition(features)))
        if self.chemical_system is not None:
            parts.append((1, self.chemical_system(conditions.chemical_system)))
        for index, scalar in enumerate(self.config.scalars):
            value = torch.nan_to_num((conditions.scalars[:, index] - scalar.mean) / scalar.std)
            parts.append((2 + index, self.scalars[scalar.name](_scalar_features(value))))
        # A product with the mask would turn an overflow of a condition nobody gave into NaN.
        masked = [
            torch.where(conditions.carried[:, column, None], value, torch.zeros_like(value))
            for column, value in parts
        ]
        return torch.stack(masked).sum(dim=0)


_FREQUENCIES = 16


def _network(inputs: int, width: int, *, sparse: bool = False) -> nn.Sequential:
    """Three layers, the last one zero; of `sparse` inputs only a few at a time are not zero."""
    first, last = nn.Linear(inputs, width), nn.Linear(width, width)
    if sparse:  # as an embedding, or what two compositions differ in would be lost under the biases
        nn.init.normal_(first.weight, std=0.5)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(first, nn.SiLU(), nn.Linear(width, width), nn.SiLU(), last)


def _composition_features(fractions: Tensor, num_atoms: Tensor) -> Tensor:
    """(B, 3 Z): presence, fraction, and the logarithm of the atoms that the fraction means in this cell."""
    counts = fractions * num_atoms[:, None]
    return torch.cat([(fractions > 0).to(fractions.dtype), fractions, counts.log1p()], dim=1)


def _scalar_features(value: Tensor) -> Tensor:
    """(B, 1 + 2 F): a standardised value, bounded, and sinusoids of it, wavelengths 50 to 0.4 deviations."""
    value = value.clamp(-10, 10)[:, None]
    frequencies = torch.logspace(-0.9, 1.2, _FREQUENCIES, device=value.device)
    return torch.cat([value, (frequencies * value).cos(), (frequencies * value).sin()], dim=1)
