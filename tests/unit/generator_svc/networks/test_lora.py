"""Low-rank adapters: nothing at first, merged bit for bit, and only they are trained."""

from __future__ import annotations

import copy

import pytest
import torch

from generator_svc.networks.denoiser import Denoiser, DenoiserConfig
from generator_svc.networks.lora import (
    LoraConfig,
    adapter_disabled,
    adapter_state,
    add_adapter,
    load_adapter,
    merge,
    merged_state,
)
from generator_svc.networks.ragged import Ragged

CONFIG = DenoiserConfig(width=16, heads=2, layers=2, max_atoms=6)
LORA = LoraConfig(rank=3, alpha=6.0)
BATCH = (torch.randn(7, 8), torch.tensor([0.2, 0.8]), Ragged(torch.tensor([4, 3])))


@pytest.fixture
def plain() -> Denoiser:
    torch.manual_seed(0)
    network = Denoiser(CONFIG)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return network


@pytest.fixture
def adapted(plain: Denoiser) -> Denoiser:
    """The same network with an adapter that has learnt something."""
    network = copy.deepcopy(plain)
    add_adapter(network, LORA, seed=1)
    for name, tensor in adapter_state(network).items():
        if name.endswith(".up"):
            torch.nn.init.normal_(tensor, std=0.1)
    return network


def test_a_new_adapter_changes_nothing_and_is_all_that_is_trained(plain: Denoiser) -> None:
    network = copy.deepcopy(plain)
    add_adapter(network, LORA, seed=1)
    assert torch.equal(network(*BATCH), plain(*BATCH))
    network(*BATCH).square().sum().backward()
    trained = {name for name, weight in network.named_parameters() if weight.grad is not None}
    assert trained == set(adapter_state(network))
    assert len(trained) == 2 * 2 * 5  # up and down of five layers in each of two blocks


def test_a_merged_adapter_computes_the_same_numbers_to_the_last_bit(
    plain: Denoiser, adapted: Denoiser
) -> None:
    expected = adapted(*BATCH)
    assert not torch.allclose(expected, plain(*BATCH))
    ours, theirs = Denoiser(CONFIG), Denoiser(CONFIG)
    ours.load_state_dict(merged_state(adapted))
    theirs.load_state_dict(merge(plain.state_dict(), adapter_state(adapted), LORA))
    assert torch.equal(ours(*BATCH), expected)
    assert torch.equal(theirs(*BATCH), expected)


def test_a_disabled_adapter_leaves_the_network_it_was_put_into(plain: Denoiser, adapted: Denoiser) -> None:
    before = adapted(*BATCH)
    with adapter_disabled(adapted):
        assert torch.equal(adapted(*BATCH), plain(*BATCH))
    assert torch.equal(adapted(*BATCH), before)


def test_targets_choose_the_layers(plain: Denoiser) -> None:
    add_adapter(plain, LoraConfig(rank=1, alpha=1.0, targets=("attention",)), seed=0)
    names = {name.rsplit(".", 1)[0] for name in adapter_state(plain)}
    assert names == {f"blocks.{i}.attention.{part}" for i in (0, 1) for part in ("qkv", "out")}


def test_tensors_of_another_adapter_are_named(plain: Denoiser, adapted: Denoiser) -> None:
    tensors, weights = adapter_state(adapted), plain.state_dict()
    name = "blocks.1.attention.qkv.up"
    lacking = {key: value for key, value in tensors.items() if key != name}
    for wrong in (lacking, tensors | {name: torch.zeros(48, 2)}):
        with pytest.raises(ValueError, match=r"blocks\.1\.attention\.qkv\.up"):
            merge(weights, wrong, LORA)
        with pytest.raises(ValueError, match=r"blocks\.1\.attention\.qkv\.up"):
            load_adapter(adapted, wrong)
    with pytest.raises(ValueError, match=r"out\.up.* is of no such layer"):
        merge(weights, tensors | {"out.up": torch.zeros(8, 3)}, LORA)


@pytest.mark.parametrize(
    "wrong",
    [{"rank": 0, "alpha": 1.0}, {"rank": 1, "alpha": 0.0}, {"rank": 1, "alpha": 1.0, "targets": ("all",)}],
)
def test_settings_that_make_no_adapter_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="adapter"):
        LoraConfig(**wrong)
