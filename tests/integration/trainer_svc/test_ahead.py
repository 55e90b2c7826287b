"""Sampling ahead of the update: which policy draws which step is fixed, and no step is lost or doubled."""

import itertools

import numpy as np
import pytest
from safetensors.numpy import load_file

from xenolith.v1 import trainer_pb2 as pb


@pytest.fixture
def stale_run(small_run):
    small_run.ClearField("optimizer")
    small_run.algorithm, small_run.steps, small_run.evaluation.n = "awm", 6, 0
    small_run.optimizer.learning_rate = 1e-3
    small_run.max_staleness = 2
    return small_run


def weights(runs, step=6):
    return load_file(runs / "small" / "checkpoints" / f"step-{step:06d}" / "weights.safetensors")


def equal(a, b):
    return set(a) == set(b) and all(np.array_equal(a[name], b[name]) for name in a)


async def steps_of(lab, name="small"):
    return [event.step for event in await lab.watch(name) if event.HasField("step")]


@pytest.mark.parametrize("lag", [1, 2, 8])
def test_each_step_is_sampled_by_the_policy_so_many_updates_before(lab, stale_run, lag):
    stale_run.max_staleness = lag

    async def scenario(lab):
        run = await lab.run(stale_run)
        assert run.state == pb.RUN_STATE_SUCCEEDED, run.message
        return await steps_of(lab)

    steps = lab(scenario)
    assert [step.step for step in steps] == [1, 2, 3, 4, 5, 6]
    first = next(step.rollout_policy_version for step in steps)
    assert first.startswith("small/0:")
    after = {0: first, **{step.step: step.policy_version for step in steps}}
    for step in steps:
        assert step.rollout_policy_version == after[max(0, step.step - 1 - lag)]
        assert step.timings["wait"] >= 0.0


def test_staleness_0_samples_with_the_latest_policy(lab, stale_run):
    stale_run.max_staleness = 0

    async def scenario(lab):
        await lab.run(stale_run)
        return await steps_of(lab)

    steps = lab(scenario)
    for before, step in itertools.pairwise(steps):
        assert step.rollout_policy_version == before.policy_version


@pytest.mark.parametrize("stop_after", [1, 4])
@pytest.mark.parametrize("fields", [{}, {"algorithm": "nft"}, {"adapter_rank": 2}])
def test_an_interrupted_run_ends_in_the_same_weights_with_every_step_once(
    lab, stale_run, tmp_path, stop_after, fields
):
    stale_run.MergeFrom(pb.RunConfig(**fields))
    stale_run.evaluation.every, stale_run.evaluation.n_during = 3, 10
    stale_run.creativity.memory = 1.0
    stale_run.reward_terms.add(metric="creativity", weight=1.0, normalization="REWARD_NORMALIZATION_NONE")
    stale_run.atom_counts.curriculum = 0.1

    async def begin(lab):
        await lab.stub.StartRun(pb.StartRunRequest(config=stale_run))
        await lab.until_step("small", stop_after)

    async def go_on(lab):
        await lab.stub.ResumeRun(pb.ResumeRunRequest(name="small"))
        await lab.watch("small")
        run = (await lab.stub.GetRun(pb.GetRunRequest(name="small"))).run
        return run, await steps_of(lab)

    lab(begin, runs=tmp_path / "killed")
    run, steps = lab(go_on, runs=tmp_path / "killed")
    assert run.state == pb.RUN_STATE_SUCCEEDED, run.message
    assert sorted({step.step for step in steps}) == [1, 2, 3, 4, 5, 6]
    whole = lab(lambda lab: lab.run(stale_run), runs=tmp_path / "whole")
    assert equal(weights(tmp_path / "killed"), weights(tmp_path / "whole"))
    assert run.training_oracle_calls == whole.training_oracle_calls == 6 * 12 + 3 * 10


def test_a_run_that_is_stopped_leaves_nothing_behind_and_goes_on(lab, stale_run):
    async def scenario(lab):
        await lab.stub.StartRun(pb.StartRunRequest(config=stale_run))
        await lab.until_step("small", 2)
        await lab.stub.StopRun(pb.StopRunRequest(name="small"))
        await lab.watch("small")
        stopped = (await lab.stub.GetRun(pb.GetRunRequest(name="small"))).run
        assert stopped.state == pb.RUN_STATE_STOPPED
        await lab.stub.ResumeRun(pb.ResumeRunRequest(name="small"))
        await lab.watch("small")
        return (await lab.stub.GetRun(pb.GetRunRequest(name="small"))).run

    run = lab(scenario)
    assert run.state == pb.RUN_STATE_SUCCEEDED, run.message
    assert run.steps_done == 6
