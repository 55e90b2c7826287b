"""Low-rank adapters of the denoiser's linear layers (LoRA, arXiv 2106.09685).

A layer's weight W becomes W + (alpha / rank) up down, with W frozen. The sum is formed before the product
with the input, in training as in sampling, so that whoever merges the adapter computes the same numbers bit
for bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "LoraConfig",
    "adapter_disabled",
    "adapter_state",
    "add_adapter",
    "load_adapter",
    "merge",
    "merged_state",
]

TARGETS = {
    "attention": (".attention.qkv", ".attention.out"),
    "mlp": (".mlp.0", ".mlp.2"),
    "modulation": (".modulation",),
}
"""Groups of layers in every block, by the ends of their names."""


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Which layers an adapter changes, and with how much freedom."""

    rank: int
    """Rank of the change, at least 1."""
    alpha: float
    """The change is scaled by alpha / rank."""
    targets: tuple[str, ...] = ("attention", "mlp", "modulation")
    """Groups of layers: attention, mlp, modulation."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"adapter rank is {self.rank}, must be at least 1")
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise ValueError(f"adapter alpha is {self.alpha}, must be above 0")
        unknown = set(self.targets) - set(TARGETS)
        if unknown or not self.targets:
            known = ", ".join(TARGETS)
            raise ValueError(f"adapter targets are {list(self.targets)}; name some of {known}")

    @property
    def scale(self) -> float:
        """Factor of up @ down."""
        return self.alpha / self.rank

    def covers(self, name: str) -> bool:
        """Whether the layer of this name is changed."""
        ends = tuple(end for target in self.targets for end in TARGETS[target])
        return name.startswith("blocks.") and name.endswith(ends)


class LoraLinear(nn.Module):
    """A frozen linear layer with a trainable change of low rank, zero at first."""

    def __init__(self, frozen: nn.Linear, config: LoraConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.weight, self.bias = frozen.weight, frozen.bias
        self.scale, self.enabled = config.scale, True
        outputs, inputs = frozen.weight.shape
        down = torch.randn(config.rank, inputs, generator=generator) / math.sqrt(inputs)
        self.down = nn.Parameter(down.to(frozen.weight.device))
        self.up = nn.Parameter(frozen.weight.new_zeros(outputs, config.rank))

    def forward(self, x: Tensor) -> Tensor:
        """As the merged layer."""
        weight = _effective(self.weight, self.up, self.down, self.scale) if self.enabled else self.weight
        return F.linear(x, weight, self.bias)


def add_adapter(model: nn.Module, config: LoraConfig, seed: int) -> None:
    """Put an adapter into a network, in place; all its other weights are frozen.

    Parameters
    ----------
    model
        A denoiser without adapter.
    config
        Which layers, and how.
    seed
        Of the initial `down`; `up` is zero, so that the network computes what it did.
    """
    generator = torch.Generator().manual_seed(seed % 2**63)
    model.requires_grad_(False)
    layers = [
        (name, layer)
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and config.covers(name)
    ]
    if not layers:
        raise ValueError(f"no layer of the network is one of {', '.join(config.targets)}")
    for name, layer in layers:
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, LoraLinear(layer, config, generator))


@contextmanager
def adapter_disabled(model: nn.Module) -> Iterator[None]:
    """The network as it was before its adapter."""
    layers = [layer for layer in model.modules() if isinstance(layer, LoraLinear)]
    for layer in layers:
        layer.enabled = False
    try:
        yield
    finally:
        for layer in layers:
            layer.enabled = True


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """The adapter's tensors, LAYER.down (rank, in) and LAYER.up (out, rank); empty without one."""
    return {
        f"{name}.{part}": getattr(layer, part).detach()
        for name, layer in model.named_modules()
        if isinstance(layer, LoraLinear)
        for part in ("down", "up")
    }


def load_adapter(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Set the adapter's tensors.

    Raises
    ------
    ValueError
        They are not those of this network's adapter.
    """
    own = adapter_state(model)
    shapes = {name: tuple(value.shape) for name, value in own.items()}
    given = {name: tuple(value.shape) for name, value in tensors.items()}
    if shapes != given:
        name = min(name for name in shapes | given if shapes.get(name) != given.get(name))
        raise ValueError(f"adapter tensor {name!r}: {given.get(name)} does not fit {shapes.get(name)}")
    for name, value in own.items():
        value.copy_(tensors[name])


def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """Weights of the plain network that computes the same; those of the network itself without adapter."""
    merged = {name: value.detach() for name, value in model.state_dict().items()}
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLinear):
            weight = _effective(layer.weight, layer.up, layer.down, layer.scale)
            merged[f"{name}.weight"] = weight.detach()
            del merged[f"{name}.down"], merged[f"{name}.up"]
    return merged


def merge(base: Mapping[str, Tensor], adapter: Mapping[str, Tensor], config: LoraConfig) -> dict[str, Tensor]:
    """Weights of a plain network with an adapter that arrived apart from it.

    Parameters
    ----------
    base
        The plain network's weights.
    adapter
        As of `adapter_state`.
    config
        Of the adapter.

    Raises
    ------
    ValueError
        A tensor is missing, of no layer that the config covers, or of another shape.
    """
    covered = {name.removesuffix(".weight") for name, value in base.items() if value.ndim == 2}
    covered = {name for name in covered if config.covers(name)}
    wanted = {f"{name}.{part}" for name in covered for part in ("down", "up")}
    odd = wanted ^ set(adapter)
    if odd:
        name = min(odd)
        raise ValueError(f"adapter tensor {name!r} is {'missing' if name in wanted else 'of no such layer'}")
    merged = dict(base)
    for name in sorted(covered):
        weight, down, up = base[f"{name}.weight"], adapter[f"{name}.down"], adapter[f"{name}.up"]
        outputs, inputs = weight.shape
        for part, value, shape in (("down", down, (config.rank, inputs)), ("up", up, (outputs, config.rank))):
            if tuple(value.shape) != shape:
                raise ValueError(
                    f"adapter tensor '{name}.{part}' has shape {tuple(value.shape)}, not {shape}"
                )
        merged[f"{name}.weight"] = _effective(weight, up, down, config.scale)
    return merged


def _effective(weight: Tensor, up: Tensor, down: Tensor, scale: float) -> Tensor:
    return weight + scale * (up @ down)
