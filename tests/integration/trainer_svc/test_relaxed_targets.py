"""Relaxed targets: the best of a step, relaxed by the oracle, encoded, judged again and learnt from."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from trainer_svc.rewards.measurements import Measurements
from trainer_svc.rollouts.best import best_rows
from xenolith.v1 import trainer_pb2 as pb


@pytest.fixture
def relaxing_run(small_run):
    small_run.ClearField("optimizer")
    small_run.algorithm, small_run.evaluation.n, small_run.steps = "awm", 0, 3
    small_run.optimizer.learning_rate = 1e-3
    small_run.algorithm_settings.update({"relaxed_targets": 4, "relaxation_steps": 5, "relax_below": 5.0})
    return small_run


def weights(runs, step):
    return load_file(runs / "small" / "checkpoints" / f"step-{step:06d}" / "weights.safetensors")


def equal(a, b):
    return set(a) == set(b) and all(np.array_equal(a[name], b[name]) for name in a)


async def steps_of(lab, config):
    run = await lab.run(config)
    assert run.state == pb.RUN_STATE_SUCCEEDED, run.message
    return run, [event.step for event in await lab.watch("small") if event.HasField("step")]


@pytest.mark.parametrize("algorithm", ["awm", "nft", "ram", "expert"])
def test_relaxed_targets_join_their_groups_and_are_counted(lab, relaxing_run, tmp_path, algorithm):
    relaxing_run.algorithm = algorithm
    run, steps = lab(lambda lab: steps_of(lab, relaxing_run))
    assert len(steps) == 3
    assert all(0 < step.metrics["relaxed_targets"] <= 4 for step in steps)
    assert all(step.samples == 12 for step in steps)
    assert all(step.timings["relax"] > 0.0 for step in steps)
    extra = sum(step.oracle_calls - 12 for step in steps)
    assert extra >= 2 * sum(step.metrics["relaxed_targets"] for step in steps)
    assert run.training_oracle_calls == 3 * 12 + extra
    if (
        algorithm == "awm"
    ):  # random networks seldom express what the oracle wants: others may have no good one
        targets = pq.read_table(tmp_path / "runs" / "small" / "targets.parquet").to_pylist()
        assert any(row["source"] == "relaxed" for row in targets)
    # With or without them, the policy ends elsewhere.
    relaxing_run.algorithm_settings.update({"relaxed_targets": 0})
    lab(lambda lab: steps_of(lab, relaxing_run), runs=tmp_path / "without")
    assert not equal(weights(tmp_path / "runs", 3), weights(tmp_path / "without", 3))
    without = json.loads((tmp_path / "without" / "small" / "summary.json").read_text())
    assert without["training_oracle_calls"] == 3 * 12


def test_a_run_with_relaxed_targets_resumes_bit_for_bit(lab, relaxing_run, tmp_path):
    async def begin(lab):
        await lab.stub.StartRun(pb.StartRunRequest(config=relaxing_run))
        await lab.until_step("small", 1)

    async def go_on(lab):
        await lab.stub.ResumeRun(pb.ResumeRunRequest(name="small"))
        await lab.watch("small")

    lab(begin, runs=tmp_path / "killed")
    lab(go_on, runs=tmp_path / "killed")
    lab(lambda lab: lab.run(relaxing_run), runs=tmp_path / "whole")
    assert equal(weights(tmp_path / "killed", 3), weights(tmp_path / "whole", 3))
    killed, whole = (pq.read_table(tmp_path / w / "small" / "targets.parquet") for w in ("killed", "whole"))
    assert killed.equals(whole)


def test_the_paper_s_reward_values_relaxed_targets_too(lab, relaxing_run):
    relaxing_run.reward_spec, relaxing_run.steps = "paper", 1
    _, steps = lab(lambda lab: steps_of(lab, relaxing_run))
    assert steps[0].metrics["relaxed_targets"] > 0


def test_relaxed_targets_are_bounded_by_the_budget(lab, relaxing_run):
    relaxing_run.steps = 10
    relaxing_run.early_stopping.max_oracle_calls = 30
    run, steps = lab(lambda lab: steps_of(lab, relaxing_run))
    assert len(steps) == 2  # 24 without them
    assert "reach the limit of 30" in run.message


def test_an_oracle_that_cannot_relax_is_told_of_before_the_first_step(lab, relaxing_run):
    async def scenario(lab):
        lab.oracle.relaxes = False
        run = await lab.run(relaxing_run)
        assert run.state == pb.RUN_STATE_FAILED
        assert "relaxed_targets needs relaxations" in run.message
        assert lab.oracle.calls == 0

    lab(scenario)


def test_the_most_stable_of_the_unique_and_novel_are_relaxed():
    measured = Measurements(
        status=("OK",) * 6,
        values={
            "valid": np.array([1.0, 1, 1, 1, 1, 0]),
            "unique": np.array([1.0, 1, 0, 1, 1, np.nan]),
            "novel": np.array([1.0, 1, 1, 0, 1, np.nan]),
            "e_above_hull": np.array([0.5, 0.2, 0.0, 0.0, 2.0, np.nan]),
        },
    )
    assert best_rows(measured, 10, 1.0).tolist() == [0, 1]
    assert best_rows(measured, 1, 1.0).tolist() == [1]
    assert best_rows(measured, 10, 5.0).tolist() == [0, 1, 4]


def test_batches_keep_what_is_a_duplicate_of_what():
    first = Measurements(status=("OK",) * 2, values={"a": np.ones(2)}, duplicate_of=np.array([-1, 0]))
    second = Measurements(status=("OK",) * 2, values={"b": np.zeros(2)}, duplicate_of=np.array([1, -1]))
    both = Measurements.concat([first, second])
    assert both.duplicate_of.tolist() == [-1, 0, 3, -1]
    assert both.column("a")[:2].tolist() == [1.0, 1.0]
    assert np.isnan(both.column("a")[2:]).all()
