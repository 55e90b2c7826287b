"""Optimisers of a training: AdamW, or Muon for the matrices of the transformer blocks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from generator_svc.finisher.network import FinisherBlock
from generator_svc.networks.transformer import AdaptiveBlock, Block
from generator_svc.storage.run_settings import OptimizerKind

__all__ = ["BLOCKS", "Optimizers", "block_matrices", "make_optimizers"]

BLOCKS = (Block, AdaptiveBlock, FinisherBlock)
"""Kinds of transformer block: most of every network's weights and arithmetic."""


class Optimizers:
    """Several optimizers of one model, each for parameters of its own, used as one.

    Parameters
    ----------
    members
        In an order that is the same whenever the model is.
    """

    def __init__(self, *members: torch.optim.Optimizer) -> None:
        self.members = members

    def set_rate(self, rate: float) -> None:
        """Let the next step use this learning rate."""
        for member in self.members:
            for group in member.param_groups:
                group["lr"] = rate

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for member in self.members:
            member.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        for member in self.members:
            member.step()

    def tensors(self) -> dict[str, Tensor]:
        """All state, under the names that `load` expects: parameter's position, dot, name of the value."""
        found: dict[str, Tensor] = {}
        for first, member in self._numbered():
            for index, slot in member.state_dict()["state"].items():
                found |= {f"{first + index}.{key}": torch.as_tensor(value) for key, value in slot.items()}
        return found

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `tensors` gave; the settings of this training stay."""
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            index, key = name.split(".", 1)
            slots.setdefault(int(index), {})[key] = value
        for first, member in self._numbered():
            groups = member.state_dict()["param_groups"]
            own = {index for group in groups for index in group["params"]}
            state = {index: slots[first + index] for index in own if first + index in slots}
            member.load_state_dict({"state": state, "param_groups": groups})

    def _numbered(self) -> list[tuple[int, torch.optim.Optimizer]]:
        """Members, each with the position of its first parameter among those of all."""
        numbered, first = [], 0
        for member in self.members:
            numbered.append((first, member))
            first += sum(len(group["params"]) for group in member.param_groups)
        return numbered


def make_optimizers(model: nn.Module, kind: OptimizerKind, *, rate: float, weight_decay: float) -> Optimizers:
    """Optimizers of a model's trainable parameters.

    Muon (K. Jordan et al., 2024) orthogonalises the momentum of a matrix, so that a step moves all of its
    directions alike. It is for the matrices inside transformer blocks; embeddings, heads, norms and biases
    are left to AdamW. Its steps are scaled to the size of AdamW's (arXiv 2502.16982), so that one learning
    rate serves both.
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    matrices = block_matrices(model) if kind == "muon" else []
    chosen = {id(p) for p in matrices}
    others = [p for p in trainable if id(p) not in chosen]
    members: list[torch.optim.Optimizer] = []
    if others:
        members.append(torch.optim.AdamW(others, lr=rate, weight_decay=weight_decay))
    if matrices:
        members.append(
            torch.optim.Muon(matrices, lr=rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        )
    return Optimizers(*members)


def block_matrices(model: nn.Module) -> list[nn.Parameter]:
    """Trainable weights of all linear layers inside transformer blocks, each once."""
    blocks = [module for module in model.modules() if isinstance(module, BLOCKS)]
    layers = [layer for block in blocks for layer in block.modules() if isinstance(layer, nn.Linear)]
    weights = {id(layer.weight): layer.weight for layer in layers if layer.weight.requires_grad}
    return [weight for weight in weights.values() if isinstance(weight, nn.Parameter)]
