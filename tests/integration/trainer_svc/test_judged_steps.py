"""A second judge for the best of a step: its word counts there, and nowhere else."""

import grpc
import numpy as np
import pytest
from safetensors.numpy import load_file

from trainer_svc.rewards.measurements import Measurements
from trainer_svc.rollouts.judging import Judged
from xenolith.v1 import trainer_pb2 as pb


@pytest.fixture
def judged_run(small_run):
    small_run.evaluation.n, small_run.steps = 0, 2
    small_run.algorithm_settings.update({"judge": "geometry-2", "judge_best": 3})
    return small_run


async def steps_of(lab, config):
    run = await lab.run(config)
    assert run.state == pb.RUN_STATE_SUCCEEDED, run.message
    return [event.step for event in await lab.watch("small") if event.HasField("step")]


def weights(runs):
    return load_file(runs / "small" / "checkpoints" / "step-000002" / "weights.safetensors")


@pytest.mark.parametrize("fields", [{}, {"algorithm": "awm"}, {"algorithm": "awm", "relaxed": 4}])
def test_the_best_of_each_step_are_judged_once_more(lab, judged_run, tmp_path, fields):
    if "algorithm" in fields:
        judged_run.ClearField("optimizer")
        judged_run.algorithm = fields["algorithm"]
    if "relaxed" in fields:
        judged_run.algorithm_settings.update({"relaxed_targets": fields["relaxed"]})
    steps = lab(lambda lab: steps_of(lab, judged_run))
    for step in steps:
        assert 1 <= step.metrics["judged"] <= 3
        assert (
            step.metrics["judge_shift"] >= 0.1 - 1e-9
        )  # as the second calculator of the test's oracle has it
        assert step.oracle_calls >= 12 + step.metrics["judged"]
    judged_run.algorithm_settings.update({"judge": "", "judge_best": 0})
    plain = lab(lambda lab: steps_of(lab, judged_run), runs=tmp_path / "plain")
    # Metrics of a step stay those of the calculator that sees all samples, the policy does not.
    assert plain[0].metrics["e_above_hull_median"] == steps[0].metrics["e_above_hull_median"]
    one, other = weights(tmp_path / "runs"), weights(tmp_path / "plain")
    assert any(not np.array_equal(one[name], other[name]) for name in one)


def test_the_judge_has_the_word_where_it_places_a_structure():
    measured = Measurements(status=("OK",) * 4, values={"e_above_hull": np.array([0.0, 0.05, 0.3, 0.4])})
    judged = Judged(rows=np.array([0, 1, 2]), energies=np.array([0.2, np.nan, 0.05]))
    assert judged.applied(measured).column("e_above_hull").tolist() == [0.2, 0.05, 0.05, 0.4]
    metrics = judged.metrics(measured)
    assert (metrics["judged"], metrics["judge_agreement"]) == (2.0, 0.0)
    assert metrics["judge_shift"] == pytest.approx(-0.025)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"judge": "nobody", "judge_best": 3}, "algorithm_settings.judge names nobody"),
        ({"judge": "geometry-2", "judge_best": 0}, "go together"),
    ],
)
def test_a_judge_that_cannot_judge_is_refused(lab, judged_run, settings, message):
    judged_run.algorithm_settings.update(settings)

    async def scenario(lab):
        try:
            run = await lab.run(judged_run)
        except grpc.aio.AioRpcError as error:
            return error.details()
        assert run.state == pb.RUN_STATE_FAILED
        assert lab.oracle.calls == 0
        return run.message

    assert message in lab(scenario)
