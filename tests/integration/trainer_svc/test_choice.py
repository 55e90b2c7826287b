"""Which policy a run ends with, what makes it go back or stop, what it remembers, what it says it cost."""

import json

import grpc
import numpy as np
import pytest
from safetensors.numpy import load_file

from trainer_svc.runs.checkpoints import TrainingState
from xenolith.v1 import oracle_pb2
from xenolith.v1 import trainer_pb2 as pb


@pytest.fixture
def forward_run(small_run):
    small_run.ClearField("optimizer")
    small_run.algorithm = "awm"
    small_run.optimizer.learning_rate = 1e-3
    small_run.evaluation.n = 10
    return small_run


def checkpoint(runs, step, file="weights"):
    return load_file(runs / "small" / "checkpoints" / f"step-{step:06d}" / f"{file}.safetensors")


def equal(a, b):
    return set(a) == set(b) and all(np.array_equal(a[name], b[name]) for name in a)


def state_of(runs, step):
    return json.loads((runs / "small" / "checkpoints" / f"step-{step:06d}" / "state.json").read_text())


async def evaluations(lab):
    events = [event.evaluation for event in await lab.watch("small") if event.HasField("evaluation")]
    return [(event.step, event.choosing, event.evaluation) for event in events]


def test_the_best_evaluated_policy_is_the_run_s(lab, forward_run, tmp_path):
    forward_run.steps = 6
    forward_run.optimizer.learning_rate = 0.05  # so large that it does harm
    forward_run.evaluation.every, forward_run.evaluation.n_during = 2, 40

    async def scenario(lab):
        run = await lab.run(forward_run)
        request = pb.EvaluateRequest(settings={"n": 10}, seed=5, run_name="small")
        answers = [answer async for answer in lab.stub.Evaluate(request)]
        return run, await evaluations(lab), answers[-1].evaluation

    run, found, asked = lab(scenario)
    chosen = {step: evaluation.msun.value for step, choosing, evaluation in found if choosing}
    assert list(chosen) == [0, 2, 4, 6]
    best = max(chosen.values())
    assert chosen[run.chosen_step] == best
    assert run.tuned.policy_version.startswith(f"small/{run.chosen_step}:")
    assert asked.policy_version == run.tuned.policy_version
    assert (tmp_path / "runs" / "small" / "checkpoints" / f"step-{run.chosen_step:06d}").is_dir()
    # Only training and what it was chosen by count as training; the final figures are of other samples.
    assert run.training_oracle_calls == 6 * 12 + 4 * 40
    assert run.oracle_calls == run.training_oracle_calls + 2 * 10
    base = [evaluation for step, choosing, evaluation in found if step == 0 and not choosing]
    assert base[0].msun.value == run.base.msun.value


@pytest.mark.parametrize("stop_after", [2, 3])
def test_a_run_that_chooses_remembers_and_replays_resumes_bit_for_bit(lab, forward_run, tmp_path, stop_after):
    forward_run.evaluation.every, forward_run.evaluation.n_during = 2, 10
    forward_run.replay.size = 8
    forward_run.replay.per_step = 3
    forward_run.creativity.memory = 1.0
    forward_run.reward_terms.add(metric="creativity", weight=1.0, normalization="REWARD_NORMALIZATION_NONE")
    forward_run.atom_counts.curriculum = 0.1

    async def begin(lab):
        await lab.stub.StartRun(pb.StartRunRequest(config=forward_run))
        await lab.until_step("small", stop_after)

    async def go_on(lab):
        await lab.stub.ResumeRun(pb.ResumeRunRequest(name="small"))
        await lab.watch("small")

    lab(begin, runs=tmp_path / "killed")
    lab(go_on, runs=tmp_path / "killed")
    lab(lambda lab: lab.run(forward_run), runs=tmp_path / "whole")
    for file in ("weights", "optimizer", "replay"):
        assert equal(*(checkpoint(tmp_path / which, 4, file) for which in ("killed", "whole"))), file
    killed, whole = (state_of(tmp_path / which, 4) for which in ("killed", "whole"))
    for name in ("experience", "evaluations", "kl_weight", "systems", "oracle_calls", "selection_calls"):
        assert killed[name] == whole[name], name
    assert whole["experience"]["replayed"]
    assert sum(whole["experience"]["formulas"].values()) > 0
    assert whole["experience"]["successes"]


def test_a_policy_that_repeats_itself_yields_to_one_that_does_not():
    found = [(0, 0.1), (2, 0.3), (4, 0.5), (6, 0.4)]
    assert TrainingState(policy_version="a", evaluations=found).chosen_step == 4
    assert TrainingState(policy_version="a", evaluations=found, repetitive=[4, 6]).chosen_step == 2
    assert TrainingState(policy_version="a", evaluations=found, repetitive=[0, 2, 4, 6]).chosen_step == 4


@pytest.mark.parametrize(("least", "repetitive"), [(0.0, []), (1.0, [0, 2, 4])])
def test_a_run_notes_which_of_its_policies_repeat_themselves(lab, forward_run, tmp_path, least, repetitive):
    forward_run.evaluation.every, forward_run.evaluation.n_during = 2, 40  # copies are certain
    forward_run.evaluation.min_unique = least
    lab(lambda lab: lab.run(forward_run))
    assert state_of(tmp_path / "runs", 4)["repetitive"] == repetitive


def test_a_collapse_goes_back_before_it_ends_the_run(lab, forward_run):
    forward_run.steps = 10
    forward_run.early_stopping.min_unique = 1.0  # copies are certain
    forward_run.early_stopping.back_offs = 2

    async def scenario(lab):
        run = await lab.run(forward_run)
        events = await lab.watch("small")
        return run, [e.warning for e in events if e.warning], [e.step for e in events if e.HasField("step")]

    run, warnings, steps = lab(scenario)
    back = [warning for warning in warnings if "back to the policy" in warning]
    assert [warning.split("(")[-1] for warning in back] == ["1 of 2)", "2 of 2)"]
    assert "repeats itself" in run.message
    assert run.state == pb.RUN_STATE_SUCCEEDED
    weights = [step.kl_weight for step in steps]
    assert max(weights) == pytest.approx(4 * min(weights))


def test_a_run_ends_at_its_budget(lab, forward_run):
    forward_run.steps = 10
    forward_run.early_stopping.max_oracle_calls = 30
    run = lab(lambda lab: lab.run(forward_run))
    assert run.steps_done == 3
    assert "36 oracle calls" in run.message


def test_the_summary_says_what_it_took_and_what_samples_are_made_of(lab, forward_run, tmp_path):
    lab(lambda lab: lab.run(forward_run))
    summary = json.loads((tmp_path / "runs" / "small" / "summary.json").read_text())
    assert summary["algorithm"] == "awm"
    assert summary["training_oracle_calls"] == 4 * 12
    assert summary["oracle_calls"] == 4 * 12 + 2 * 10
    # This oracle hands nothing to a calculator, and says so.
    assert summary["calculator_evaluations"] == 0
    for which in ("base", "tuned"):
        assert 1 <= summary[which]["unique_systems"] <= 10
        assert 0.0 <= summary[which]["f_block_share"] <= 1.0


@pytest.mark.parametrize(
    ("left", "message"),
    [
        ([oracle_pb2.COMPONENT_STRUCTURE_DIVERSITY], "COMPONENT_STRUCTURE_DIVERSITY"),
        ([oracle_pb2.COMPONENT_NOVELTY, oracle_pb2.COMPONENT_STABILITY], "COMPONENT_NOVELTY"),
    ],
)
def test_what_the_oracle_cannot_measure_is_refused_before_the_first_step(lab, forward_run, left, message):
    async def scenario(lab):
        lab.oracle.unable = set(left)
        run = await lab.run(forward_run)
        assert run.state == pb.RUN_STATE_FAILED
        assert message in run.message
        assert lab.oracle.calls == 0

    lab(scenario)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"reward_terms": [{"metric": "e_above_hul", "weight": 1.0}]}, "did you mean e_above_hull"),
        ({"elements": {"avoid": ["Xx"]}}, "Xx"),
        ({"reward_combine": "product"}, "combine"),
        ({"algorithm": "grpo", "replay": {"size": 5}}, "forward process"),
    ],
)
def test_bad_rewards_and_memories_are_refused(lab, fields, message):
    async def scenario(lab):
        request = pb.StartRunRequest(config=pb.RunConfig(name="a", **fields), validate_only=True)
        with pytest.raises(grpc.aio.AioRpcError, match=message) as caught:
            await lab.stub.StartRun(request)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT

    lab(scenario)


def test_a_shipped_spec_can_be_a_conjunction_that_avoids_elements(lab):
    async def scenario(lab):
        config = pb.RunConfig(
            name="a",
            reward_spec="band_gap",
            reward_combine="conjunction",
            elements={"avoid": ["radioactive"]},
        )
        answer = await lab.stub.StartRun(pb.StartRunRequest(config=config, validate_only=True))
        resolved = answer.run.config
        assert resolved.reward_spec == "band_gap_3ev"
        assert resolved.reward_combine == "conjunction"
        assert list(resolved.elements.avoid) == ["radioactive"]
        again = await lab.stub.StartRun(pb.StartRunRequest(config=resolved, validate_only=True))
        assert again.run.config == resolved

    lab(scenario)
