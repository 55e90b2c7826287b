"""Novelty against more than the run's reference: further references, and what the run learnt from itself."""

import json

import pyarrow.parquet as pq
import pytest

from trainer_svc.evaluation.beyond import reference_names
from trainer_svc.runs.targets import read_targets
from xenolith.v1 import trainer_pb2 as pb

KEYS = ("novel_mp2024", "rediscovered_mp2024", "novel_excluding_own_targets")


def summary_of(folder):
    return json.loads((folder / "small" / "summary.json").read_text())


@pytest.fixture
def short_run(small_run):
    small_run.steps = 2
    small_run.evaluation.n = 30
    return small_run


def test_without_a_further_reference_its_shares_are_null_and_never_0(lab, short_run, tmp_path):
    lab(lambda lab: lab.run(short_run))
    summary = summary_of(tmp_path / "runs")
    for which in ("base", "tuned"):
        assert summary[which]["novel_mp2024"] is None
        assert summary[which]["rediscovered_mp2024"] is None
        # Nothing was learnt from as if it were data.
        assert summary[which]["novel_excluding_own_targets"] == summary[which]["novel"]


def test_a_further_reference_says_what_is_rediscovered(lab, short_run, tmp_path):
    async def scenario(lab):
        first = await lab.run(short_run)
        assert first.state == pb.RUN_STATE_SUCCEEDED, first.message
        table = pq.read_table(tmp_path / "runs" / "small" / "evaluations" / "base.parquet").to_pylist()
        formulas = [row["formula"] for row in table if row["valid"]]
        listed, elsewhere = formulas[0], next(name for name in formulas if name != formulas[0])
        lab.oracle.references = {"mp20-aaaa": {listed}, "mp2024-bbbb": {elsewhere}}
        short_run.name = "again"
        again = await lab.run(short_run)
        assert again.state == pb.RUN_STATE_SUCCEEDED, again.message
        return listed, elsewhere

    listed, elsewhere = lab(scenario)
    folder = tmp_path / "runs" / "again"
    base = json.loads((folder / "summary.json").read_text())["base"]
    rows = pq.read_table(folder / "evaluations" / "base.parquet").to_pylist()
    valid = [row for row in rows if row["valid"]]
    rediscovered = [row for row in valid if row["formula"] == elsewhere]
    assert base["rediscovered_mp2024"] == len(rediscovered) / 30 > 0.0
    assert all(row["nearest_mp2024"] == f"id of {elsewhere}" for row in rediscovered)
    assert all(row["novel"] == 1.0 and row["novel_mp2024"] == 0.0 for row in rediscovered)
    assert base["novel"] == sum(row["formula"] != listed for row in valid) / 30
    assert base["novel_mp2024"] == pytest.approx(base["novel"] - base["rediscovered_mp2024"])
    low, high = base["novel_mp2024_ci95"]
    assert low <= base["novel_mp2024"] <= high


@pytest.mark.parametrize("fields", [{"algorithm": "expert"}, {"algorithm": "awm", "replay": {"size": 50}}])
def test_what_a_run_was_trained_on_as_data_counts_as_known_in_one_of_its_novelties(
    lab, short_run, tmp_path, fields
):
    short_run.ClearField("optimizer")
    short_run.MergeFrom(pb.RunConfig(**fields))

    async def scenario(lab):
        run = await lab.run(short_run)
        assert run.state == pb.RUN_STATE_SUCCEEDED, run.message
        request = pb.EvaluateRequest(run_name="small", settings={"n": 30}, seed=4)
        return [answer async for answer in lab.stub.Evaluate(request)][-1].evaluation

    asked = lab(scenario)
    summary = summary_of(tmp_path / "runs")
    targets = {crystal.formula for crystal in read_targets(tmp_path / "runs" / "small", 2)}
    assert targets
    rows = pq.read_table(tmp_path / "runs" / "small" / "evaluations" / "tuned.parquet").to_pylist()
    outside = sum(bool(row["valid"]) and row["formula"] not in targets for row in rows)
    assert summary["tuned"]["novel_excluding_own_targets"] == outside / 30 < summary["tuned"]["novel"]
    assert summary["base"]["novel_excluding_own_targets"] == summary["base"]["novel"]
    assert asked.shares["novel_excluding_own_targets"].value < asked.novel.value


def test_targets_of_steps_that_are_repeated_are_not_kept_twice(lab, short_run, tmp_path):
    short_run.ClearField("optimizer")
    short_run.algorithm, short_run.steps, short_run.evaluation.n = "expert", 4, 0

    async def begin(lab):
        await lab.stub.StartRun(pb.StartRunRequest(config=short_run))
        await lab.until_step("small", 2)

    async def go_on(lab):
        await lab.stub.ResumeRun(pb.ResumeRunRequest(name="small"))
        await lab.watch("small")

    lab(begin, runs=tmp_path / "killed")
    lab(go_on, runs=tmp_path / "killed")
    lab(lambda lab: lab.run(short_run), runs=tmp_path / "whole")
    killed, whole = (pq.read_table(tmp_path / w / "small" / "targets.parquet") for w in ("killed", "whole"))
    assert killed.equals(whole)
    assert len(read_targets(tmp_path / "whole" / "small", 2)) < whole.num_rows


def test_references_are_called_by_name_unless_two_share_it():
    assert reference_names(["mp2024-0123", "mine-4567"]) == ["mp2024", "mine"]
    assert reference_names(["a-1", "a-2", "b"]) == ["a-1", "a-2", "b"]
