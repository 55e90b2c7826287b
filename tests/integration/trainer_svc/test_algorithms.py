"""Runs of every algorithm over gRPC: what they ask of the generator, and that none loses a bit on the way."""

import json
from importlib.metadata import EntryPoint, EntryPoints

import grpc
import numpy as np
import pytest
from safetensors.numpy import load_file

from generator_svc.service.servicer import GeneratorService
from trainer_svc.algorithms import registry
from trainer_svc.algorithms.awm import AdvantageWeightedMatching
from xenolith.v1 import trainer_pb2 as pb

FORWARD = ["awm", "nft", "ram", "expert"]


def checkpoint(runs, step, file="weights"):
    return load_file(runs / "small" / "checkpoints" / f"step-{step:06d}" / f"{file}.safetensors")


def equal(a, b):
    return set(a) == set(b) and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.fixture
def forward_run(small_run):
    small_run.ClearField("optimizer")
    small_run.optimizer.learning_rate = 1e-3
    small_run.evaluation.n = 0
    return small_run


@pytest.mark.parametrize("name", FORWARD)
def test_a_run_learns_from_final_latents(lab, forward_run, tmp_path, monkeypatch, name):
    forward_run.algorithm = name
    asked = []

    class Listening(GeneratorService):
        """A generator that remembers whether trajectories were asked for."""

        async def Sample(self, request, context):
            asked.append(request.return_trajectory)
            async for part in super().Sample(request, context):
                yield part

    monkeypatch.setattr("tests.integration.trainer_svc.conftest.GeneratorService", Listening)

    async def scenario(lab):
        run = await lab.run(forward_run)
        assert run.state == pb.RUN_STATE_SUCCEEDED, run.message
        return [event.step for event in await lab.watch("small") if event.HasField("step")]

    steps = lab(scenario)
    assert asked == [False] * 8
    assert [step.step for step in steps] == [1, 2, 3, 4]
    assert not equal(checkpoint(tmp_path / "runs", 0), checkpoint(tmp_path / "runs", 4))
    assert all(np.isfinite([step.loss, step.grad_norm, step.kl]).all() for step in steps)


@pytest.mark.parametrize(
    ("name", "hold", "files"),
    [
        ("awm", {"anchor_weight": 0.3, "anchor_warmup_steps": 2, "kl_target": 1e-3}, ["average"]),
        ("nft", {"anchor_warmup_steps": 2}, ["trained"]),
    ],
)
def test_an_interrupted_run_ends_in_the_same_weights(lab, forward_run, tmp_path, name, hold, files):
    forward_run.algorithm = name
    forward_run.hold.MergeFrom(pb.HoldSettings(**hold))

    async def begin(lab):
        await lab.stub.StartRun(pb.StartRunRequest(config=forward_run))
        await lab.until_step("small", 2)

    async def go_on(lab):
        await lab.stub.ResumeRun(pb.ResumeRunRequest(name="small"))
        await lab.watch("small")

    lab(begin, runs=tmp_path / "killed")
    lab(go_on, runs=tmp_path / "killed")
    lab(lambda lab: lab.run(forward_run), runs=tmp_path / "whole")
    for file in ("weights", "optimizer", *files):
        assert equal(*(checkpoint(tmp_path / which, 4, file) for which in ("killed", "whole"))), file
    weights, other = (checkpoint(tmp_path / "whole", 4, file) for file in ("weights", files[0]))
    assert not equal(weights, other)
    states = [
        json.loads((tmp_path / w / "small" / "checkpoints" / "step-000004" / "state.json").read_text())
        for w in ("killed", "whole")
    ]
    assert states[0]["kl_weight"] == states[1]["kl_weight"]


def test_an_adapter_learns_on_the_forward_process(lab, forward_run, tmp_path):
    forward_run.algorithm = "nft"
    forward_run.adapter_rank = 2
    forward_run.adapter_targets.extend(["mlp", "modulation"])
    forward_run.optimizer.learning_rate = 1e-2
    run = lab(lambda lab: lab.run(forward_run))
    assert run.state == pb.RUN_STATE_SUCCEEDED, run.message
    base, tuned = checkpoint(tmp_path / "runs", 0), checkpoint(tmp_path / "runs", 4)
    changed = {name for name in base if not np.array_equal(base[name], tuned[name])}
    assert changed
    assert all(".mlp." in name or ".modulation." in name for name in changed)


def test_the_weight_of_the_divergence_follows_its_target(lab, forward_run):
    forward_run.algorithm = "awm"
    forward_run.hold.kl_target = 1e-9  # far below what any step does

    async def scenario(lab):
        await lab.run(forward_run)
        return [event.step for event in await lab.watch("small") if event.HasField("step")]

    first, *_, last = lab(scenario)
    assert first.kl_weight == pytest.approx(0.15)
    assert last.kl_weight > 2 * first.kl_weight


def test_defaults_are_those_of_the_algorithm_and_what_is_given_stays(lab):
    async def resolved(lab, **fields):
        config = pb.RunConfig(name="a", **fields)
        answer = await lab.stub.StartRun(pb.StartRunRequest(config=config, validate_only=True))
        return answer.run.config

    async def scenario(lab):
        plain = await resolved(lab)
        assert plain.algorithm == "grpo"
        assert plain.optimizer.kl_weight == 0.05
        awm = await resolved(lab, algorithm="awm")
        assert awm.optimizer.kl_weight == 0.15
        assert awm.optimizer.advantage_scale == "batch"
        assert awm.hold.negative_scale == 0.7
        given = await resolved(
            lab,
            algorithm="awm",
            optimizer={"kl_weight": 0.5},
            hold={"negative_scale": 1.0},
            sampler={"eta": 0.0},
            algorithm_settings={"noisings": 2},
        )
        assert given.optimizer.kl_weight == 0.5
        assert given.hold.negative_scale == 1.0
        assert given.algorithm_settings["noisings"] == 2

    lab(scenario)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"algorithm": "ppo"}, "there are grpo, awm, nft, ram, expert"),
        ({"algorithm": "awm", "algorithm_settings": {"noisigns": 2}}, "noisings"),
        ({"algorithm": "grpo", "algorithm_settings": {"noisings": 2}}, "noisings"),
        ({"algorithm": "grpo", "hold": {"anchor_weight": 0.1}}, "forward-process"),
        ({"algorithm": "grpo", "sampler": {"eta": 0.0}}, "eta must be above 0"),
        ({"optimizer": {"advantage_scale": "step"}}, "advantage_scale"),
    ],
)
def test_what_makes_no_sense_is_refused(lab, fields, message):
    async def scenario(lab):
        request = pb.StartRunRequest(config=pb.RunConfig(name="a", **fields), validate_only=True)
        with pytest.raises(grpc.aio.AioRpcError, match=message) as caught:
            await lab.stub.StartRun(request)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT

    lab(scenario)


class Doubled(AdvantageWeightedMatching):
    """An algorithm that somebody else wrote."""

    def loss(self, rows, velocities):
        return 2.0 * super().loss(rows, velocities)


def test_an_installed_algorithm_is_found_by_its_entry_point(lab, forward_run, monkeypatch):
    point = EntryPoint("doubled", f"{__name__}:Doubled", registry.ENTRY_POINTS)
    monkeypatch.setattr(EntryPoint, "load", lambda _: Doubled)
    monkeypatch.setattr(registry, "entry_points", lambda **query: EntryPoints([point]).select(**query))
    assert "doubled" in registry.algorithm_names()
    forward_run.algorithm = "doubled"
    assert lab(lambda lab: lab.run(forward_run)).state == pb.RUN_STATE_SUCCEEDED


@pytest.mark.parametrize("name", ["grpo", "awm"])
def test_every_step_tells_the_variance_of_its_gradient_and_does_not_depend_on_it(
    lab, small_run, tmp_path, name
):
    small_run.algorithm, small_run.steps, small_run.evaluation.n = name, 2, 0
    if name != "grpo":
        small_run.ClearField("optimizer")

    async def steps(lab):
        run = await lab.run(small_run)
        assert run.state == pb.RUN_STATE_SUCCEEDED, run.message
        return [event.step for event in await lab.watch("small") if event.HasField("step")]

    told = lab(steps, runs=tmp_path / "told")
    for step in told:
        assert step.metrics["gradient_variance_with_groups"] > 0.0
        assert step.metrics["gradient_variance_without_groups"] > 0.0
    small_run.algorithm_settings.update({"variance_samples": 0})
    silent = lab(steps, runs=tmp_path / "silent")
    assert not any("gradient_variance_with_groups" in step.metrics for step in silent)
    assert equal(*(checkpoint(tmp_path / which, 2) for which in ("told", "silent")))
