"""Settings of a pretraining run, read from TOML and kept in its folder; unknown keys fail.

They are records alone: bundles are made of finished runs, and serving a bundle needs nothing of training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from generator_svc.data.load import DataSettings
from generator_svc.finisher.network import FinisherConfig
from generator_svc.finisher.noise import LARGEST_NOISE, SMALLEST_NOISE
from generator_svc.networks.autoencoder import AutoencoderConfig
from generator_svc.networks.denoiser import DenoiserConfig
from generator_svc.networks.lora import LoraConfig
from generator_svc.networks.property_head import HeadConfig
from xenolith.bundle import DEFAULT_BUNDLE
from xenolith.errors import InvalidArgumentError
from xenolith.explain import explain

__all__ = [
    "AutoencoderRun",
    "ConditionSettings",
    "DenoiserRun",
    "FinisherNoise",
    "FinisherRun",
    "LoopSettings",
    "LossWeights",
    "NoiseSettings",
    "OptimizerKind",
    "PropertyRun",
    "Run",
    "ScalarSettings",
    "check_settings",
]

OptimizerKind = Literal["adamw", "muon"]
"""What takes the steps of a training."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LoopSettings(_Settings):
    """How long and how to train."""

    seed: int = 0
    epochs: int = Field(default=50, ge=1)
    minutes: float | None = Field(default=None, gt=0)
    """Train by the clock instead, for so long, pauses counted: the learning rate falls with the time that
    has passed, and the state is saved every minute. It takes the place of `epochs`."""
    batch_size: int = Field(default=128, ge=1)
    """Crystals of a step, over all pieces and processes."""
    pieces: int = Field(default=1, ge=1)
    """Parts that a batch is cut into. Processes share them; what one process takes, it takes one after the
    other, which needs less memory. The same number on any number of processes gives the same training."""
    bucket: bool | Literal["epoch"] = False
    """Make batches of nearly equal atom counts, for less padding; their order and mixture stay random.
    epoch: sort the whole epoch for it, not 50 batches at a time, so that nearly every batch has one count."""
    optimizer: OptimizerKind = "adamw"
    """muon: the matrices of the transformer blocks are trained by Muon instead, the rest as before. A step
    costs a third more on a CPU and is worth more; the learning rate is on the same scale."""
    learning_rate: float = Field(default=6e-4, gt=0)
    warmup_steps: int = Field(default=300, ge=0)
    weight_decay: float = Field(default=0.01, ge=0)
    grad_clip: float = Field(default=1.0, gt=0)
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    validate_every: int = Field(default=5, ge=1)
    """Epochs between validations."""
    checkpoint_every: int = Field(default=300, ge=1)
    """Steps between checkpoints."""
    device: str = "cpu"
    """Torch device: cpu, cuda, cuda:1; auto takes a GPU where there is one."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of matrix products. With bfloat16, weights, losses and all geometry stay in float32."""
    compile: bool = False
    """Compile the transformer blocks with torch.compile; needs a C++ compiler and a minute."""
    threads: int = Field(default=0, ge=0)
    """Torch threads; 0 leaves torch's choice."""

    @model_validator(mode="after")
    def _enough_for_all(self) -> LoopSettings:
        if self.pieces > self.batch_size:
            raise ValueError(f"pieces ({self.pieces}) must not exceed batch_size ({self.batch_size})")
        return self


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Weights of the terms of the autoencoder's loss."""

    elements: float = 1.0
    """Cross entropy of the element, mean over atoms."""
    cell: float = 5.0
    """Mean squared error of the standardised log-metric."""
    coordinates: float = 10.0
    """Mean squared error of the phases."""
    distances: float = 1.0
    """Smooth L1 of minimum-image distances, Angstrom, near pairs weighted up."""
    kl: float = 1e-4
    """Kullback-Leibler divergence to the standard normal, per atom."""
    coarse: float = 0.5
    """Weight of the first stage's own loss beside the refined one's."""


class NoiseSettings(_Settings):
    """Latent noise the decoder learns to tolerate, beside the posterior's own."""

    max_scale: float = Field(default=0.1, ge=0)
    """Largest noise added, as a fraction of each channel's std; per structure max_scale u^2, u uniform."""


class AutoencoderRun(_Settings):
    """`xenolith pretrain autoencoder`."""

    data: DataSettings
    loop: LoopSettings = LoopSettings()
    model: AutoencoderConfig = AutoencoderConfig()
    loss: LossWeights = LossWeights()
    noise: NoiseSettings = NoiseSettings()
    freeze_encoder: bool = False
    """Train the decoder alone, on the latents of `initial_weights`."""
    initial_weights: Path | None = None
    """Safetensors file to start from."""

    @model_validator(mode="after")
    def _freezes_something(self) -> AutoencoderRun:
        if self.freeze_encoder and self.initial_weights is None:
            raise ValueError("freeze_encoder keeps a trained encoder: name its initial_weights")
        return self


class ScalarSettings(_Settings):
    """A column of numbers to condition on."""

    keep: float = Field(default=0.3, gt=0, le=1)
    """Probability that a labelled crystal which is trained with conditions carries this one."""
    unit: str = ""
    """Unit of the column, for those who will ask for values."""


class ConditionSettings(_Settings):
    """Conditions that the denoiser learns. Each crystal of a batch draws anew which of them it carries."""

    unconditional: float = Field(default=0.4, gt=0, lt=1)
    """Share of the crystals trained without any condition."""
    composition: float | None = Field(default=None, gt=0, le=1)
    """Among the others, the probability of carrying the exact composition; absent: not learnt."""
    chemical_system: float | None = Field(default=None, gt=0, le=1)
    """The same for the set of elements."""
    scalars: dict[str, ScalarSettings] = {}
    """Columns of the training file, such as band_gap; empty cells carry no condition."""

    @model_validator(mode="after")
    def _not_empty(self) -> ConditionSettings:
        if self.composition is None and self.chemical_system is None and not self.scalars:
            raise ValueError("name at least one: composition, chemical_system or scalars.COLUMN")
        return self


class DenoiserRun(_Settings):
    """`xenolith pretrain denoiser`."""

    data: DataSettings
    autoencoder: Path
    """Folder of a finished autoencoder run, or a bundle by name or folder."""
    random_origin: bool = False
    """Shift every crystal's origin anew. Without it the model learns the origins of the data, which sit on
    special positions: fewer things to learn, and nothing is lost, since any origin describes the crystal."""
    time_shift: float = Field(default=1.0, gt=0)
    """Training times are s u / (1 + (s - 1) u), u uniform (arXiv 2403.03206). Below 1, more of them lie at
    the low noise levels where a crystal is decided: at 0.35 the median is 0.26."""
    loop: LoopSettings = LoopSettings()
    model: DenoiserConfig = DenoiserConfig()
    conditions: ConditionSettings | None = None
    """What to learn to be asked for; absent: an unconditional denoiser."""
    initial_weights: Path | None = None
    """Safetensors file of a denoiser to start from, in the folder of its run or bundle, whose standardisation
    of latents and columns it keeps; conditions that it has not learnt start as zero."""
    adapter: LoraConfig | None = None
    """Fine-tune `initial_weights` by a low-rank adapter alone, beside conditions that start as zero; what is
    written are merged weights."""

    @model_validator(mode="after")
    def _adapts_something(self) -> DenoiserRun:
        if self.adapter is not None and self.initial_weights is None:
            raise ValueError("[adapter] fine-tunes a denoiser: name its initial_weights")
        if self.adapter is not None and self.loop.optimizer != "adamw":
            raise ValueError("[adapter] leaves no whole matrix to train: set loop.optimizer to adamw")
        return self


class FinisherNoise(_Settings):
    """Which noise levels the finisher learns, Angstrom of the displacements."""

    smallest: float = Field(default=SMALLEST_NOISE, gt=0)
    finishing: float = Field(default=1.0, gt=0)
    """Most noise of crystals to finish; levels are drawn evenly in their logarithm up to here."""
    largest: float = Field(default=LARGEST_NOISE, gt=0)
    """Most noise of all: hardly anything is left of where atoms were."""
    larger_share: float = Field(default=0.05, ge=0, lt=1)
    """Share of the crystals with levels from `finishing` to `largest`."""
    cell_weight: float = Field(default=0.3, gt=0)
    """Weight of the error on the cell beside that on the positions."""

    @model_validator(mode="after")
    def _rising(self) -> FinisherNoise:
        if not self.smallest < self.finishing < self.largest:
            raise ValueError("smallest, finishing and largest must rise in this order")
        return self


class FinisherRun(_Settings):
    """`xenolith pretrain finisher`."""

    data: DataSettings
    noise: FinisherNoise = FinisherNoise()
    loop: LoopSettings = LoopSettings()
    model: FinisherConfig = FinisherConfig()
    initial_weights: Path | None = None
    """Safetensors file to start from."""


class PropertyRun(_Settings):
    """`xenolith pretrain property`."""

    column: str
    """Column of labels to predict."""
    data: DataSettings
    unit: str = ""
    """Unit of the labels."""
    autoencoder: str = DEFAULT_BUNDLE
    """Folder of a finished autoencoder run, or a bundle by name or folder: the latents to predict from."""
    test_split: str = "test"
    """Part to measure the errors on."""
    loop: LoopSettings = LoopSettings(epochs=30, batch_size=256, learning_rate=1e-3, warmup_steps=100)
    model: HeadConfig = HeadConfig()


Run = TypeVar("Run", AutoencoderRun, DenoiserRun, FinisherRun, PropertyRun)


def check_settings(document: dict[str, Any], kind: type[Run], origin: str) -> Run:
    """Check settings given as plain data; `origin` says where they are from.

    Raises
    ------
    InvalidArgumentError
        A key or a value is wrong; every one is named.
    """
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise InvalidArgumentError(f"{origin}: {explain(error, kind)}") from error
