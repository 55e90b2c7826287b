"""Which parameters which optimizer trains."""

import pytest
import torch
from torch import nn

from generator_svc.networks.denoiser import Denoiser, DenoiserConfig
from generator_svc.networks.lora import LoraConfig, add_adapter
from generator_svc.pretrain.optimizer import Optimizers, block_matrices, make_optimizers

SMALL = DenoiserConfig(width=16, heads=2, layers=2)


def trained_by(optimizers: Optimizers) -> dict[str, set[int]]:
    return {
        type(member).__name__: {id(p) for group in member.param_groups for p in group["params"]}
        for member in optimizers.members
    }


def test_muon_takes_the_blocks_matrices_and_adamw_the_rest():
    model = Denoiser(SMALL)
    found = trained_by(make_optimizers(model, "muon", rate=1e-3, weight_decay=0.0))
    names = {name for name, p in model.named_parameters() if id(p) in found["Muon"]}
    layers = ("attention.qkv", "attention.out", "mlp.0", "mlp.2", "modulation")
    assert names == {f"blocks.{block}.{layer}.weight" for block in (0, 1) for layer in layers}
    assert found["AdamW"] == {id(p) for p in model.parameters()} - found["Muon"]


def test_adamw_alone_takes_everything_that_is_trained():
    model = Denoiser(SMALL)
    model.embed.requires_grad_(False)
    found = trained_by(make_optimizers(model, "adamw", rate=1e-3, weight_decay=0.0))
    assert found == {"AdamW": {id(p) for p in model.parameters() if p.requires_grad}}


def test_an_adapter_leaves_muon_nothing():
    model = Denoiser(SMALL)
    add_adapter(model, LoraConfig(rank=2, alpha=4.0, targets=("mlp",)), seed=0)
    assert block_matrices(model) == []


def test_a_step_of_muon_moves_all_directions_of_a_matrix_alike():
    model = Denoiser(SMALL)
    matrix = model.blocks[0].mlp[0].weight
    before = matrix.detach().clone()
    optimizers = make_optimizers(model, "muon", rate=1e-2, weight_decay=0.0)
    # A gradient that is nearly of rank one, by which gradient descent would move one direction only.
    torch.manual_seed(0)
    strong = torch.outer(torch.randn(64), torch.randn(16))
    matrix.grad = strong + 0.1 * torch.randn(64, 16)
    optimizers.step()
    moved = torch.linalg.svdvals(matrix.detach() - before)
    given = torch.linalg.svdvals(matrix.grad)
    assert given[-1] / given[0] < 0.03
    assert moved[-1] / moved[0] > 0.4


def test_state_comes_back_to_the_parameters_it_is_of():
    def stepped(steps: int, optimizers: Optimizers, model: nn.Module) -> None:
        for _ in range(steps):
            for p in model.parameters():
                p.grad = torch.ones_like(p) * p.detach().mean() + p.detach()
            optimizers.step()

    torch.manual_seed(0)
    whole, halves = Denoiser(SMALL), Denoiser(SMALL)
    halves.load_state_dict(whole.state_dict())
    first = make_optimizers(whole, "muon", rate=1e-3, weight_decay=0.01)
    second = make_optimizers(halves, "muon", rate=1e-3, weight_decay=0.01)
    stepped(4, first, whole)
    stepped(2, second, halves)
    third = make_optimizers(halves, "muon", rate=1e-3, weight_decay=0.01)
    third.load({name: value.clone() for name, value in second.tensors().items()})
    stepped(2, third, halves)
    for name, value in whole.state_dict().items():
        assert value.equal(halves.state_dict()[name]), name


def test_learning_rate_reaches_every_member():
    optimizers = make_optimizers(Denoiser(SMALL), "muon", rate=1e-3, weight_decay=0.0)
    optimizers.set_rate(5e-5)
    rates = [group["lr"] for member in optimizers.members for group in member.param_groups]
    assert rates == [pytest.approx(5e-5)] * len(optimizers.members)
