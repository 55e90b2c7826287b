"""Runs that train a policy under conditions: what is asked for is sampled, densities agree under guidance."""

import tomllib

import grpc
import pyarrow.parquet as pq
import pytest

from generator_svc.networks.conditions import ConditionsConfig, ScalarCondition
from tests.tiny_bundle import make_tiny_bundle
from trainer_svc.config.messages import config_to_proto
from trainer_svc.config.run_config import validate_config
from xenolith.v1 import trainer_pb2 as pb


@pytest.fixture(scope="module")
def conditional_bundle(tmp_path_factory):
    gap = ScalarCondition(name="band_gap", unit="eV", mean=1.0, std=2.0)
    learnt = ConditionsConfig(composition=True, scalars=(gap,))
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "conditional", conditions=learnt)


@pytest.fixture
def tiny_bundle(conditional_bundle):
    """What the lab serves."""
    return conditional_bundle


@pytest.fixture
def conditional_run(small_run):
    text = """
    name = "small"
    [[conditions]]
    composition = "NaCl"
    [[conditions]]
    properties = { band_gap = 3.0 }
    """
    small_run.conditions.extend(config_to_proto(validate_config(tomllib.loads(text))).conditions)
    small_run.sampler.guidance_scale = 2.0
    return small_run


def formulas(folder, which):
    table = pq.read_table(folder / "small" / "evaluations" / f"{which}.parquet").to_pydict()
    return [sorted(numbers) for numbers in table["numbers"]]


def test_groups_and_evaluations_take_conditions_in_turn(lab, conditional_run, tmp_path):
    conditional_run.adapter_rank = 2

    async def scenario(lab):
        run = await lab.run(conditional_run)
        assert run.state == pb.RUN_STATE_SUCCEEDED, run.message
        steps = [event.step for event in await lab.watch("small") if event.HasField("step")]
        assert len(steps) == 4
        assert all(0.0 <= step.ratio_deviation < 1e-5 for step in steps)
        assert any(step.grad_norm > 0 for step in steps)
        return run.config

    config = lab(scenario)
    assert config.conditions[0].composition[0].number == 11
    assert config.conditions[1].properties["band_gap"] == 3.0
    for which in ("base", "tuned"):
        found = formulas(tmp_path / "runs", which)
        salts = [numbers for numbers in found if numbers.count(11) == numbers.count(17) == len(numbers) / 2]
        assert len(found) == 20
        assert len(salts) >= 10  # every other sample, and whichever of the others chanced upon it


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ([{"chemical_system": [11, 17]}], "has learnt composition, band_gap"),
        ([{"composition": [{"number": 11, "amount": 4}, {"number": 17, "amount": 3}]}], "widen atom_counts"),
    ],
)
def test_what_the_bundle_has_not_learnt_or_cannot_hold_fails_the_run(lab, small_run, conditions, message):
    for condition in conditions:
        small_run.conditions.add(**condition)

    async def scenario(lab):
        run = await lab.run(small_run)
        assert run.state == pb.RUN_STATE_FAILED
        assert message in run.message

    lab(scenario)


def test_guidance_without_a_condition_is_refused(lab, small_run):
    small_run.sampler.guidance_scale = 2.0

    async def scenario(lab):
        with pytest.raises(grpc.aio.AioRpcError, match="guidance_scale needs conditions"):
            await lab.stub.StartRun(pb.StartRunRequest(config=small_run))

    lab(scenario)


def test_an_evaluation_samples_under_the_conditions_it_names(lab):
    async def scenario(lab):
        request = pb.EvaluateRequest(settings={"n": 12, "sampler": {"steps": 4}})
        request.conditions.add(composition=[{"number": 12, "amount": 1}, {"number": 8, "amount": 1}])
        plain = pb.EvaluateRequest(settings={"n": 12, "sampler": {"steps": 4}})
        results = []
        for asked in (request, plain):
            answers = [answer async for answer in lab.stub.Evaluate(asked)]
            results.append(answers[-1].evaluation)
        return results

    asked, plain = lab(scenario)
    assert asked.n == plain.n == 12
    # This oracle calls one crystal of each formula unique, and all were asked to be MgO.
    assert asked.unique.value == pytest.approx(1 / 12)
    assert plain.unique.value > 1 / 12
