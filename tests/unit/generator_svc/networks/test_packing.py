"""What packed batches save must not change what is computed: values and gradients against the plain forms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.generator_parts.padded import PaddedDenoiser
from generator_svc.networks.conditions import Conditions, ConditionsConfig, ScalarCondition
from generator_svc.networks.denoiser import Denoiser, DenoiserConfig
from generator_svc.networks.modulation import gated_sum, modulated_norm
from generator_svc.networks.ragged import Ragged
from generator_svc.networks.transformer import Attention, attention_mask


def gradients(value: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    weight = torch.randn(value.shape, generator=torch.Generator().manual_seed(9), dtype=value.dtype)
    return torch.autograd.grad((value * weight).sum(), inputs)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def test_modulated_norm_is_the_plain_one_with_its_gradients() -> None:
    torch.manual_seed(0)
    x, shift, scale, rows = random(7, 5), random(3, 5), random(3, 5), torch.tensor([2, 0, 0, 2, 1, 0, 2])
    ours = modulated_norm(x, shift, scale, rows, 1e-5)
    plain = F.layer_norm(x, (5,), eps=1e-5) * (1 + scale[rows]) + shift[rows]
    torch.testing.assert_close(ours, plain)
    inputs = [x, shift, scale]
    torch.testing.assert_close(gradients(ours, inputs), gradients(plain, inputs))


def test_gated_sum_is_the_plain_one_with_its_gradients() -> None:
    torch.manual_seed(1)
    x, change, gate, rows = random(5, 4), random(5, 4), random(3, 4), torch.tensor([1, 1, 0, 2, 0])
    ours, plain = gated_sum(x, change, gate, rows), x + gate[rows] * change
    torch.testing.assert_close(ours, plain)
    inputs = [x, change, gate]
    torch.testing.assert_close(gradients(ours, inputs), gradients(plain, inputs))


@pytest.mark.parametrize("counts", [[2, 2, 5, 5, 5, 3], [4, 4], [1]])
def test_attention_without_padding_is_attention_with_a_mask(counts: list[int]) -> None:
    torch.manual_seed(2)
    attention, ragged = Attention(8, 2).double(), Ragged(torch.tensor(counts))
    x = random(sum(counts), 8)
    mask = torch.zeros(1, 1, dtype=torch.float64) if ragged.uniform else attention_mask(ragged)
    ours, masked = attention(x, ragged, None), attention(x, ragged, mask)
    torch.testing.assert_close(ours, masked)
    inputs = [x, *attention.parameters()]
    torch.testing.assert_close(gradients(ours, inputs), gradients(masked, inputs))


def test_layout_by_size_moves_whole_structures() -> None:
    ragged = Ragged(torch.tensor([3, 1, 2, 1]))
    layout, atoms = ragged.by_size
    assert atoms is not None
    assert layout.num_atoms.tolist() == [1, 1, 2, 3]
    assert layout.runs == [(2, 1), (1, 2), (1, 3)]
    assert ragged.structure_index[atoms].tolist() == [1, 3, 2, 2, 0, 0, 0]
    assert layout.by_size == (layout, None)


def denoiser(conditions: ConditionsConfig | None = None) -> Denoiser:
    torch.manual_seed(3)
    model = Denoiser(DenoiserConfig(width=16, heads=2, layers=2, conditions=conditions))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def test_rows_of_equal_time_and_count_have_the_gradients_of_padded_ones() -> None:
    model, ragged = denoiser(), Ragged(torch.tensor([5, 2, 5, 2, 3]))
    latents, time = torch.randn(17, 8), torch.tensor([0.3, 0.3, 0.3, 0.3, 0.8])
    parameters = list(model.parameters())
    ours, padded = model(latents, time, ragged), PaddedDenoiser(model)(latents, time, ragged)
    torch.testing.assert_close(ours, padded, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        gradients(ours, parameters), gradients(padded, parameters), rtol=1e-3, atol=1e-4
    )


def test_structures_that_differ_in_a_condition_alone_are_told_apart() -> None:
    config = ConditionsConfig(composition=True, scalars=(ScalarCondition(name="gap"),), max_atomic_number=4)
    model, ragged, time = denoiser(config), Ragged(torch.tensor([2] * 5)), torch.full((5,), 0.4)
    composition = torch.zeros(5, 4)
    composition[0, 1] = composition[1, 2] = 1.0
    scalars = torch.tensor([[torch.nan], [torch.nan], [0.0], [torch.nan], [0.0]])
    wanted = Conditions(composition=composition, chemical_system=torch.zeros(5, 4), scalars=scalars)
    latents = torch.randn(2, 8).repeat(5, 1)
    together = model(latents, time, ragged, wanted)
    for structure in range(5):
        own = torch.tensor([structure])
        alone = model(latents[:2], time[:1], Ragged(torch.tensor([2])), wanted.take(own))
        torch.testing.assert_close(together[2 * structure : 2 * structure + 2], alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together[4:6], together[8:10])
    assert (together[4:6] - together[6:8]).abs().max() > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_trains_every_weight(dtype: torch.dtype) -> None:
    model, ragged = denoiser(), Ragged(torch.tensor([5, 2, 4]))
    with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
        velocity = model(torch.randn(11, 8), torch.rand(3), ragged)
    velocity.square().mean().backward()
    assert velocity.dtype == torch.float32
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.dtype == torch.float32
        assert torch.isfinite(parameter.grad).all(), name
