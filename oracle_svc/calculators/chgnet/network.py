"""CHGNet's energy network for inference, arranged for batches on a CPU.

The arithmetic is that of `chgnet.model.CHGNet` (Deng et al., Nat. Mach. Intell. 5, 1031 (2023)),
with three rearrangements that change no result beyond rounding: the first linear layer of each
gated perceptron is applied to atoms, bonds and angles before they are gathered; only bonds short
enough to form angles enter the bond updates; the last angle update, which nothing reads, is
left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from oracle_svc.calculators.chgnet.graph import ATOM_CUTOFF, BOND_CUTOFF, Graph

__all__ = ["ChgnetNetwork", "GateOut", "Weights"]

Weights = Mapping[str, Tensor]
_WIDTH = 64
_LAYERS = 4
_CUTOFF_POWER = 8


@dataclass(frozen=True, kw_only=True)
class GateOut:
    """Everything of a gated perceptron behind its first linear layer."""

    core: tuple[Tensor, Tensor] | None
    gate: tuple[Tensor, Tensor] | None
    core_norm: tuple[Tensor, Tensor]
    gate_norm: tuple[Tensor, Tensor]

    def __call__(self, hidden: Tensor) -> Tensor:
        """Map (n, 128) first-layer outputs (core beside gate) to (n, 64)."""
        if self.core is not None and self.gate is not None:
            hidden = F.silu(hidden, inplace=True)
            core = F.linear(hidden[:, :_WIDTH], *self.core)
            gate = F.linear(hidden[:, _WIDTH:], *self.gate)
        else:
            core, gate = hidden[:, :_WIDTH], hidden[:, _WIDTH:]
        core = F.silu(F.layer_norm(core, (_WIDTH,), *self.core_norm), inplace=True)
        gate = F.layer_norm(gate, (_WIDTH,), *self.gate_norm).sigmoid_()
        return core.mul_(gate)


class ChgnetNetwork:
    """Energies per atom and crystal features from graphs.

    Parameters
    ----------
    weights
        State dict of a CHGNet checkpoint with the architecture of 0.3.0.
    device
        Where to compute.
    """

    def __init__(self, weights: Weights, device: torch.device) -> None:
        self._w = {k: v.to(device=device, dtype=torch.float32).contiguous() for k, v in weights.items()}
        self._device = device
        self._atom = [self._gate(f"atom_conv_layers.{i}.twoBody_atom", (0, 3)) for i in range(_LAYERS)]
        self._bond = [self._gate(f"bond_conv_layers.{i}.twoBody_bond", (0, 3)) for i in range(_LAYERS - 1)]
        self._angle = [self._gate(f"angle_layers.{i}.twoBody_bond", (1, None)) for i in range(_LAYERS - 2)]

    def _gate(self, name: str, layers: tuple[int, int | None]) -> tuple[list[Tensor], Tensor, GateOut]:
        """Split the first layer by input blocks; return (blocks, bias, rest)."""
        first, second = layers
        w = self._w

        def both(kind: str) -> Tensor:
            return torch.cat([w[f"{name}.mlp_{part}.layers.{first}.{kind}"] for part in ("core", "gate")])

        def linear(part: str) -> tuple[Tensor, Tensor] | None:
            if second is None:
                return None
            stem = f"{name}.mlp_{part}.layers.{second}"
            return w[f"{stem}.weight"], w[f"{stem}.bias"]

        blocks = [block.contiguous() for block in both("weight").split(_WIDTH, dim=1)]
        out = GateOut(
            core=linear("core"),
            gate=linear("gate"),
            core_norm=(w[f"{name}.bn1.weight"], w[f"{name}.bn1.bias"]),
            gate_norm=(w[f"{name}.bn2.weight"], w[f"{name}.bn2.bias"]),
        )
        return blocks, both("bias"), out

    @torch.inference_mode()
    def __call__(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return energies per atom (B,) in eV/atom and mean atom features (B, 64)."""
        return self._forward(self._tensors(graph), graph.num_crystals)

    def differentiate(self, graph: Graph) -> tuple[Tensor, Tensor, Tensor]:
        """Return as a call does, and the derivative (U, 3) of all energy by the bond vectors, eV/A."""
        t = self._tensors(graph)
        vector = t["vector"].requires_grad_()
        t["length"] = vector.norm(dim=1)
        along = t["angle_bond"][t["short_bond"]]
        unit = vector[along] * (t["short_sign"] / t["length"][along]).unsqueeze(1)
        t["angle_cosine"] = (unit[t["angle_first"]] * unit[t["angle_second"]]).sum(dim=1)
        energies, features = self._forward(t, graph.num_crystals)
        size = torch.bincount(t["owner"], minlength=graph.num_crystals)
        (gradient,) = torch.autograd.grad((energies * size).sum(), vector)
        return energies.detach(), features.detach(), gradient

    def _tensors(self, graph: Graph) -> dict[str, Tensor]:
        columns = {name: value for name, value in vars(graph).items() if name != "num_crystals"}
        return {name: torch.from_numpy(value).to(self._device) for name, value in columns.items()}

    def _forward(self, t: Weights, num_crystals: int) -> tuple[Tensor, Tensor]:
        w = self._w
        radial = _bessel(t["length"], w["bond_basis_expansion.rbf_expansion_ag.frequencies"], ATOM_CUTOFF)
        atoms = w["atom_embedding.embedding.weight"][t["numbers"] - 1]
        bonds = F.linear(radial, w["bond_embedding.weight"])
        atom_weight = F.linear(radial, w["bond_weights_ag.weight"])
        short = t["length"][t["angle_bond"]]
        short_radial = _bessel(short, w["bond_basis_expansion.rbf_expansion_bg.frequencies"], BOND_CUTOFF)
        bond_weight = F.linear(short_radial, w["bond_weights_bg.weight"])
        angles = self._embed_angles(t["angle_cosine"])
        for layer in range(_LAYERS - 1):
            atoms = self._update_atoms(layer, t, atoms, bonds, atom_weight)
            if len(angles):
                bonds = self._update_bonds(layer, t, atoms, bonds, angles, bond_weight)
                if layer < _LAYERS - 2:
                    angles = self._update_angles(layer, t, atoms, bonds, angles)
        atoms = self._update_atoms(_LAYERS - 1, t, atoms, bonds, atom_weight)
        return self._read_out(t, atoms, num_crystals)

    def _embed_angles(self, cosine: Tensor) -> Tensor:
        frequencies = self._w["angle_basis_expansion.fourier_expansion.frequencies"]
        phase = torch.outer(torch.acos(cosine * (1 - 1e-6)), frequencies)
        constant = phase.new_full((len(cosine), 1), 1 / math.sqrt(2))
        basis = torch.cat([constant, phase.sin(), phase.cos()], dim=1)
        return F.linear(basis, self._w["angle_embedding.weight"] / math.sqrt(math.pi))

    def _update_atoms(self, layer: int, t: Weights, atoms: Tensor, bonds: Tensor, weight: Tensor) -> Tensor:
        (w_center, w_bond, w_neighbor), bias, out = self._atom[layer]
        hidden = F.linear(bonds, w_bond, bias).index_select(0, t["bond"])
        hidden += F.linear(atoms, w_center).index_select(0, t["center"])
        hidden += F.linear(atoms, w_neighbor).index_select(0, t["neighbor"])
        message = out(hidden).mul_(weight.index_select(0, t["bond"]))
        total = torch.zeros_like(atoms).index_add_(0, t["center"], message)
        return atoms + F.linear(total, self._w[f"atom_conv_layers.{layer}.mlp_out.layers.1.weight"])

    def _hidden_angles(
        self, blocks: list[Tensor], bias: Tensor, t: Weights, atoms: Tensor, short: Tensor, angles: Tensor
    ) -> Tensor:
        """First layer on (bond i, bond j, angle, centre) for every angle, (G, 128)."""
        w_first, w_second, w_angle, w_center = blocks
        by_first = F.linear(short, w_first, bias).index_select(0, t["short_bond"])
        by_first += F.linear(atoms, w_center).index_select(0, t["short_center"])
        by_second = F.linear(short, w_second).index_select(0, t["short_bond"])
        hidden = F.linear(angles, w_angle)
        hidden += by_first.index_select(0, t["angle_first"])
        hidden += by_second.index_select(0, t["angle_second"])
        return hidden

    def _update_bonds(
        self, layer: int, t: Weights, atoms: Tensor, bonds: Tensor, angles: Tensor, weight: Tensor
    ) -> Tensor:
        blocks, bias, out = self._bond[layer]
        short = bonds.index_select(0, t["angle_bond"])
        message = out(self._hidden_angles(blocks, bias, t, atoms, short, angles))
        edge_weight = weight.index_select(0, t["short_bond"])
        message *= edge_weight.index_select(0, t["angle_second"])
        per_edge = torch.zeros_like(edge_weight).index_add_(0, t["angle_first"], message)
        per_bond = torch.zeros_like(short).index_add_(0, t["short_bond"], per_edge.mul_(edge_weight))
        update = F.linear(per_bond, self._w[f"bond_conv_layers.{layer}.mlp_out.layers.1.weight"])
        return bonds.index_add(0, t["angle_bond"], update)

    def _update_angles(self, layer: int, t: Weights, atoms: Tensor, bonds: Tensor, angles: Tensor) -> Tensor:
        blocks, bias, out = self._angle[layer]
        short = bonds.index_select(0, t["angle_bond"])
        return out(self._hidden_angles(blocks, bias, t, atoms, short, angles)).add_(angles)

    def _read_out(self, t: Weights, atoms: Tensor, num_crystals: int) -> tuple[Tensor, Tensor]:
        w = self._w
        atoms = F.layer_norm(atoms, (_WIDTH,), w["readout_norm.weight"], w["readout_norm.bias"])
        hidden = atoms
        for index in (0, 2, 4):
            hidden = F.silu(F.linear(hidden, w[f"mlp.layers.{index}.weight"], w[f"mlp.layers.{index}.bias"]))
        energy = F.linear(hidden, w["mlp.layers.7.weight"], w["mlp.layers.7.bias"])
        energy = energy + w["composition_model.fc.weight"][0][t["numbers"] - 1].unsqueeze(1)
        size = torch.bincount(t["owner"], minlength=num_crystals).unsqueeze(1)
        mean = _sum_by(atoms, t["owner"], num_crystals) / size
        return (_sum_by(energy, t["owner"], num_crystals) / size).squeeze(1), mean


def _sum_by(rows: Tensor, owner: Tensor, count: int) -> Tensor:
    return rows.new_zeros((count, rows.shape[1])).index_add_(0, owner, rows)


def _bessel(distance: Tensor, frequencies: Tensor, cutoff: float) -> Tensor:
    """Radial Bessel basis under the smooth polynomial cutoff, (n, 31)."""
    scaled = (distance / cutoff).unsqueeze(1)
    p = _CUTOFF_POWER
    envelope = (
        1
        - (p + 1) * (p + 2) / 2 * scaled**p
        + p * (p + 2) * scaled ** (p + 1)
        - p * (p + 1) / 2 * scaled ** (p + 2)
    )
    envelope = torch.where(scaled < 1, envelope, torch.zeros_like(scaled))
    wave = torch.sin(frequencies * scaled) / distance.unsqueeze(1)
    return envelope * wave * math.sqrt(2 / cutoff)
