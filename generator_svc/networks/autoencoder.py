"""Variational autoencoder: a crystal becomes eight numbers per atom and back (arXiv 2511.07158, Methods).

Beyond the paper's: cells are decoded through the logarithm of their metric, coordinates as phases, no atom
carries an index, attention sees minimum-image distances, and the decoder has a second stage that looks at
the geometry the first one produced and corrects it, trained under latent noise. That second stage answers
the paper's open question 1: a slightly wrong latent decodes to a nearby sensible crystal.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from generator_svc.networks import geometry
from generator_svc.networks.assignment import choose_elements
from generator_svc.networks.conditions import Conditions
from generator_svc.networks.ragged import Ragged
from generator_svc.networks.transformer import Block, attention_mask

__all__ = [
    "Autoencoder",
    "AutoencoderConfig",
    "CrystalTensors",
    "Decoded",
    "Decoder",
    "Encoder",
    "Heads",
    "pair_features",
]

_LATENT_BOUND = 1e4


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """Size of the autoencoder."""

    width: int = 128
    """Channels of every block."""
    heads: int = 8
    """Attention heads."""
    encoder_layers: int = 3
    """Blocks of the encoder."""
    decoder_layers: int = 3
    """Blocks of the decoder's first stage."""
    refine_layers: int = 3
    """Blocks of the decoder's second stage."""
    latent_dim: int = 8
    """Numbers per atom."""
    max_atomic_number: int = 100
    """Elements 1 to this one have an embedding and a logit."""
    radial_features: int = 24
    """Gaussians of a pair's distance."""
    radial_cutoff: float = 9.0
    """Centre of the last Gaussian, Angstrom."""


@dataclass(frozen=True)
class CrystalTensors:
    """A batch of crystals as the networks take it."""

    ragged: Ragged
    numbers: Tensor
    """(T,) int64 atomic numbers."""
    frac_coords: Tensor
    """(T, 3) fractional coordinates."""
    lattice: Tensor
    """(B, 3, 3) row vectors, Angstrom."""


@dataclass(frozen=True)
class Decoded:
    """Output of a decoder stage for a batch."""

    logits: Tensor
    """(T, max_atomic_number) of element Z = index + 1."""
    phase: Tensor
    """(T, 6) cos and sin of 2 pi f, not normalised."""
    cell: Tensor
    """(B, 6) standardised log-metric features."""


class Autoencoder(nn.Module):
    """Encoder and two-stage decoder."""

    cell_mean: Tensor
    cell_std: Tensor

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("cell_mean", torch.zeros(6))
        self.register_buffer("cell_std", torch.ones(6))
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def cell_features(self, crystals: CrystalTensors) -> Tensor:
        """(B, 6) standardised log-metric features of the cells."""
        raw = geometry.metric_to_features(crystals.lattice, crystals.ragged.num_atoms)
        return (raw - self.cell_mean) / self.cell_std

    def metric(self, cell: Tensor, ragged: Ragged) -> Tensor:
        """(B, 3, 3) metric tensors, Angstrom^2, of standardised features."""
        return geometry.features_to_metric(cell * self.cell_std + self.cell_mean, ragged.num_atoms)

    def encode(self, crystals: CrystalTensors) -> tuple[Tensor, Tensor]:
        """Posterior mean and log-variance, each (T, latent_dim)."""
        metric = geometry.lattice_to_metric(crystals.lattice)
        posterior = self.encoder(crystals, self.cell_features(crystals), metric).float()
        mean, log_variance = posterior.chunk(2, dim=-1)
        return mean, log_variance.clamp(-20, 4)

    def decode_stages(self, latents: Tensor, ragged: Ragged) -> tuple[Decoded, Decoded]:
        """First and refined reading of (T, latent_dim) latents."""
        hidden, coarse = self.decoder.read(latents, ragged)
        metric = self.metric(coarse.cell.detach().float(), ragged)
        frac = geometry.phases_to_frac(coarse.phase.detach().float())
        return coarse, self.decoder.refine(hidden, coarse, frac, metric, ragged)

    @torch.no_grad()
    def decode(self, latents: Tensor, ragged: Ragged, conditions: Conditions | None = None) -> CrystalTensors:
        """Crystals of (T, latent_dim) latents; every finite latent gives a valid cell.

        Elements are the most likely ones that a composition or chemical system in `conditions` allows.
        """
        _, refined = self.decode_stages(latents, ragged)
        metric = self.metric(refined.cell.float(), ragged)
        return CrystalTensors(
            ragged=ragged,
            numbers=choose_elements(refined.logits, ragged, conditions),
            frac_coords=geometry.phases_to_frac(refined.phase.float()),
            lattice=geometry.metric_to_lattice(metric),
        )

    @torch.no_grad()
    def embed(self, latents: Tensor, ragged: Ragged) -> Tensor:
        """(B, width) mean over atoms of the decoder's hidden states, a summary of each crystal."""
        hidden, _ = self.decoder.read(latents, ragged)
        return ragged.mean(hidden)


class Encoder(nn.Module):
    """Crystal to posterior parameters."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.element = nn.Embedding(config.max_atomic_number + 1, width)
        self.position = nn.Linear(12, width)
        self.cell = nn.Linear(6, width)
        self.count = nn.Linear(1, width)
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.radial_features) for _ in range(config.encoder_layers)
        )
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * config.latent_dim))

    def forward(self, crystals: CrystalTensors, cell: Tensor, metric: Tensor) -> Tensor:
        """(T, 2 latent_dim)."""
        ragged, frac = crystals.ragged, crystals.frac_coords
        harmonics = torch.cat([geometry.phases(frac), geometry.phases(2 * frac)], dim=-1)
        per_structure = self.cell(cell) + self.count(ragged.num_atoms[:, None].to(cell.dtype).log())
        x = self.element(crystals.numbers) + self.position(harmonics) + ragged.expand(per_structure)
        pairs = pair_features(frac, metric, ragged, self.config)
        mask = attention_mask(ragged)
        for block in self.blocks:
            x = block(x, ragged, mask, pairs)
        return self.head(x)


class Decoder(nn.Module):
    """Latents to crystal in two stages: read the latents, then correct the geometry they gave."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.embed = nn.Linear(config.latent_dim, width)
        self.count = nn.Linear(1, width)
        self.read_blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.decoder_layers))
        self.read_heads = Heads(config)
        self.position = nn.Linear(12, width)
        self.cell = nn.Linear(6, width)
        self.element = nn.Linear(config.max_atomic_number, width)
        self.refine_blocks = nn.ModuleList(
            Block(width, config.heads, config.radial_features) for _ in range(config.refine_layers)
        )
        self.refine_heads = Heads(config, zero=True)

    def read(self, latents: Tensor, ragged: Ragged) -> tuple[Tensor, Decoded]:
        """Hidden states (T, d) and the first reading."""
        count = self.count(ragged.num_atoms[:, None].to(latents.dtype).log())
        # Far outside anything trained, squares in the layer norms would overflow; a bound keeps them finite.
        bounded = latents.clamp(-_LATENT_BOUND, _LATENT_BOUND)
        x = (self.embed(bounded) + ragged.expand(count)).float()
        mask = attention_mask(ragged)
        for block in self.read_blocks:
            x = block(x, ragged, mask)
        return x, self.read_heads(x, ragged)

    def refine(self, x: Tensor, coarse: Decoded, frac: Tensor, metric: Tensor, ragged: Ragged) -> Decoded:
        """Correct the first reading, seeing the distances it implies."""
        harmonics = torch.cat([geometry.phases(frac), geometry.phases(2 * frac)], dim=-1)
        elements = coarse.logits.detach().softmax(dim=-1)
        x = x + self.position(harmonics) + self.element(elements)
        x = x + ragged.expand(self.cell(coarse.cell.detach()))
        pairs, mask = pair_features(frac, metric, ragged, self.config), attention_mask(ragged)
        for block in self.refine_blocks:
            x = block(x, ragged, mask, pairs)
        change = self.refine_heads(x, ragged)
        return Decoded(
            logits=coarse.logits + change.logits,
            phase=coarse.phase + change.phase,
            cell=coarse.cell + change.cell,
        )


class Heads(nn.Module):
    """Element logits, coordinate phases and cell features from hidden states."""

    def __init__(self, config: AutoencoderConfig, zero: bool = False) -> None:
        super().__init__()
        width = config.width
        self.norm = nn.LayerNorm(width)
        self.logits = nn.Linear(width, config.max_atomic_number)
        self.phase = nn.Linear(width, 6)
        self.cell = nn.Sequential(nn.Linear(width, width), nn.GELU(approximate="tanh"), nn.Linear(width, 6))
        if zero:  # a correction starts as no correction
            for last in (self.logits, self.phase, self.cell[-1]):
                for parameter in last.parameters():
                    nn.init.zeros_(parameter)

    @geometry.exact
    def forward(self, x: Tensor, ragged: Ragged) -> Decoded:
        """Reading of (T, d) hidden states; coordinates need more digits than bfloat16 has."""
        x = self.norm(x)
        return Decoded(logits=self.logits(x), phase=self.phase(x), cell=self.cell(ragged.mean(x)))


def pair_features(frac: Tensor, metric: Tensor, ragged: Ragged, config: AutoencoderConfig) -> Tensor:
    """(B, M, M, radial_features) Gaussians of minimum-image distances, independent of orientation."""
    with torch.no_grad():
        _, distance = geometry.minimum_image(ragged.pad(frac), metric)
        return geometry.radial_basis(distance, config.radial_features, config.radial_cutoff)
