"""Conditions of the denoiser: zero at first, carried per structure, guided in one forward."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from generator_svc.diffusion.sampler import SamplerSettings, transition
from generator_svc.networks.autoencoder import Autoencoder, AutoencoderConfig
from generator_svc.networks.conditions import Conditions, ConditionsConfig, ScalarCondition, conditions_of
from generator_svc.networks.denoiser import Denoiser, DenoiserConfig
from generator_svc.networks.element_prior import ElementPrior
from generator_svc.networks.ragged import Ragged
from generator_svc.pretrain.condition_columns import (
    WeightsError,
    draw_kept,
    latents_by_element,
    load_initial_weights,
    one_kind,
)
from generator_svc.storage.run_settings import (
    ConditionSettings,
    DenoiserRun,
    ScalarSettings,
    check_settings,
)
from tests.tiny_bundle import crystal_table
from xenolith.files import read_toml

LEARNT = ConditionsConfig(
    composition=True,
    chemical_system=True,
    scalars=(ScalarCondition(name="band_gap", unit="eV", mean=1.0, std=2.0),),
    element_prior=True,
)
PLAIN = DenoiserConfig(width=16, heads=2, layers=2)
NUMBERS = torch.tensor([11, 17, 22, 8, 8, 14])
RAGGED = Ragged(torch.tensor([2, 3, 1]))


def crystals(gap: float = 3.0) -> Conditions:
    return conditions_of(NUMBERS, RAGGED, torch.tensor([[gap], [torch.nan], [0.0]]))


def denoiser(config: DenoiserConfig, *, random: bool) -> Denoiser:
    torch.manual_seed(0)
    model = Denoiser(config)
    if random:
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


@pytest.fixture(scope="module")
def trained() -> Denoiser:
    """A conditional denoiser whose every weight counts."""
    return denoiser(replace(PLAIN, conditions=LEARNT), random=True)


def test_conditions_of_crystals_are_fractions_sets_and_labels() -> None:
    found = crystals()
    assert found.composition[1, [21, 7]].tolist() == pytest.approx([1 / 3, 2 / 3])
    torch.testing.assert_close(found.composition.sum(1), torch.ones(3))
    assert found.chemical_system[1].nonzero().flatten().tolist() == [7, 21]
    assert found.carried.tolist() == [[True, True, True], [True, True, False], [True, True, True]]


def test_a_network_started_from_unconditional_weights_behaves_as_before(tmp_path: Path) -> None:
    plain = denoiser(PLAIN, random=True)
    save_file(plain.state_dict(), tmp_path / "plain.safetensors")
    conditional = denoiser(replace(PLAIN, conditions=LEARNT), random=False)
    load_initial_weights(conditional, tmp_path / "plain.safetensors")
    latents, time = torch.randn(6, 8), torch.rand(3)
    expected = plain(latents, time, RAGGED)
    assert torch.equal(conditional(latents, time, RAGGED), expected)
    assert torch.equal(conditional(latents, time, RAGGED, crystals()), expected)


def test_initial_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    tensors = denoiser(replace(PLAIN, conditions=LEARNT), random=True).state_dict()
    target = denoiser(replace(PLAIN, conditions=LEARNT), random=False)
    path = tmp_path / "weights.safetensors"
    half = {name: value for name, value in tensors.items() if name != "conditions.composition.2.bias"}
    lacking = {name: value for name, value in tensors.items() if name != "out.bias"}
    reshaped = tensors | {"count.weight": torch.zeros(13, 16)}
    for given, named in ((half, "composition.2.bias"), (lacking, "out.bias"), (reshaped, "count.weight")):
        save_file(given, path)
        with pytest.raises(WeightsError, match=named):
            load_initial_weights(target, path)
    save_file(tensors, path)
    with pytest.raises(WeightsError, match="is not of this run"):
        load_initial_weights(denoiser(PLAIN, random=False), path)


def test_wanted_elements_tell_what_latents_to_expect() -> None:
    prior = ElementPrior(100, 2, 4)
    prior.mean[[10, 16]] = torch.tensor([[3.0, 0.0], [-3.0, 0.0]])  # Na and Cl
    prior.mean[7] = torch.tensor([3.0, 0.1])  # O, near Na, and not wanted
    prior.variance.fill_(0.1)
    torch.nn.init.eye_(prior.project.weight)
    ragged = Ragged(torch.tensor([2, 1]))
    wanted = conditions_of(torch.tensor([11, 17, 14]), ragged, torch.empty(2, 0))
    wanted = wanted.keep(torch.tensor([[True, False], [False, False]]))
    latents = torch.tensor([[2.5, 0.1], [-2.0, 0.0], [1.0, 1.0]])
    near = prior(latents, torch.tensor([0.02, 0.02]), ragged, wanted)
    torch.testing.assert_close(near[:2, :2], torch.tensor([[3.0, 0.0], [-3.0, 0.0]]), rtol=0, atol=1e-3)
    assert near[2].eq(0).all()  # nothing wanted, nothing said
    blind = prior(latents, torch.tensor([1.0, 1.0]), ragged, wanted)
    torch.testing.assert_close(blind[:2, :2], torch.zeros(2, 2), rtol=0, atol=1e-3)  # half Na, half Cl


def test_latents_are_summed_up_by_element() -> None:
    torch.manual_seed(0)
    sizes = AutoencoderConfig(width=16, heads=2, encoder_layers=1, decoder_layers=1, refine_layers=1)
    autoencoder, table = Autoencoder(sizes).eval(), crystal_table(size=30)
    statistics = (torch.full((8,), 0.1), torch.full((8,), 2.0))
    mean, variance = latents_by_element(autoencoder, table, statistics, 100, batch=7)
    with torch.no_grad():
        centre, log_variance = autoencoder.encode(table.tensors())
    oxygen = torch.from_numpy(table.numbers) == 8
    latents, count = ((centre - 0.1) / 2)[oxygen], int(oxygen.sum())
    torch.testing.assert_close(mean[7], latents.mean(0), rtol=1e-4, atol=1e-5)
    within = latents.var(0, correction=0) + (log_variance.exp() / 4)[oxygen].mean(0)
    torch.testing.assert_close(variance[7], (count * within + 1) / (count + 1), rtol=1e-4, atol=1e-5)
    assert mean[91].eq(0).all()
    assert variance[91].eq(1).all()


def test_what_a_structure_does_not_carry_changes_nothing(trained: Denoiser) -> None:
    latents, time = torch.randn(6, 8), torch.rand(3)
    plain = trained(latents, time, RAGGED)
    assert torch.equal(trained(latents, time, RAGGED, Conditions.none(3, LEARNT)), plain)
    middle = crystals().keep(torch.tensor([[False], [True], [False]]).expand(3, 3))
    mixed = trained(latents, time, RAGGED, middle)
    assert torch.equal(mixed[:2], plain[:2])
    assert torch.equal(mixed[5:], plain[5:])
    assert not torch.allclose(mixed[2:5], plain[2:5])


@pytest.mark.parametrize("kind", ["composition", "chemical_system", "band_gap"])
def test_every_kind_is_heard_once_learnt(trained: Denoiser, kind: str) -> None:
    latents, time = torch.randn(6, 8), torch.rand(3)
    alone, carrying = one_kind(crystals(), kind, LEARNT)
    assert torch.equal(alone.carried.any(dim=1), carrying)
    assert carrying.tolist() == [True, kind != "band_gap", True]
    difference = (trained(latents, time, RAGGED, alone) - trained(latents, time, RAGGED)).abs().amax(1)
    assert ((difference > 1e-6) == RAGGED.expand(carrying)).all()


def test_two_values_of_a_scalar_differ(trained: Denoiser) -> None:
    latents, time = torch.randn(6, 8), torch.rand(3)
    one, other = (trained(latents, time, RAGGED, crystals(gap)) for gap in (0.0, 6.0))
    assert not torch.allclose(one[:2], other[:2])
    assert torch.equal(one[2:], other[2:])


def test_guidance_is_one_forward_for_conditional_and_unconditional_structures(trained: Denoiser) -> None:
    latents, step = torch.randn(6, 8), torch.tensor([0, 3, 5])
    condition = crystals().keep(torch.tensor([[True], [False], [True]]).expand(3, 3))

    def mean(scale: float, given: Conditions | None) -> torch.Tensor:
        return transition(
            trained, latents, step, RAGGED, SamplerSettings(steps=8, guidance_scale=scale), given
        ).mean

    plain, conditional, guided = mean(1.0, None), mean(1.0, condition), mean(2.5, condition)
    torch.testing.assert_close(guided, plain + 2.5 * (conditional - plain), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(guided[2:5], plain[2:5])
    torch.testing.assert_close(mean(0.0, condition), plain, rtol=1e-4, atol=1e-5)
    assert torch.equal(mean(2.5, Conditions.none(3, LEARNT)), plain)


def test_crystals_carry_conditions_as_often_as_asked() -> None:
    settings = ConditionSettings(
        unconditional=0.4, composition=0.5, scalars={"band_gap": ScalarSettings(keep=1.0)}
    )
    torch.manual_seed(0)
    kept = draw_kept(settings, 20_000, torch.device("cpu")).numpy()
    np.testing.assert_allclose(kept.mean(0), [0.3, 0.0, 0.6], atol=0.02)
    assert kept.any(axis=1).mean() == pytest.approx(0.6, abs=0.02)


def test_nothing_to_condition_on_is_refused() -> None:
    with pytest.raises(ValueError, match="name at least one"):
        ConditionSettings()
    with pytest.raises(ValueError, match="plain column name"):
        ConditionsConfig(scalars=(ScalarCondition(name="a.b"),))


def test_the_example_of_a_conditional_denoiser_is_read() -> None:
    path = Path(__file__).resolve().parents[4] / "examples" / "pretrain" / "denoiser.toml"
    run = check_settings(read_toml(path), DenoiserRun, str(path))
    assert run.conditions is not None
    assert run.conditions.scalars["band_gap"].unit == "eV"
