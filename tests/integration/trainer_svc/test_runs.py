"""Runs over gRPC: a whole one, stopping, resuming bit for bit, what they write and what they refuse."""

import json
from collections import Counter
from html.parser import HTMLParser

import grpc
import numpy as np
import pyarrow.parquet as pq
import pytest
from ase.io import read
from safetensors.numpy import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from xenolith.v1 import trainer_pb2 as pb

KEYS = {"n", "valid", "unique", "novel", "metastable", "stable", "sun", "msun", "msun_ci95"}


def kinds(events):
    return Counter(event.WhichOneof("event") for event in events)


def states(events):
    names = [pb.RunState.Name(event.state.state) for event in events if event.HasField("state")]
    return [name.removeprefix("RUN_STATE_") for name in names]


def weights(runs, name, step):
    return load_file(runs / name / "checkpoints" / f"step-{step:06d}" / "weights.safetensors")


def equal(a, b):
    return set(a) == set(b) and all(np.array_equal(a[name], b[name]) for name in a)


async def refused(call, code):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() == code
    return caught.value.details()


class Links(HTMLParser):
    """What a page would fetch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in {"src", "href"}]

    @classmethod
    def of(cls, page):
        parser = cls()
        parser.feed(page)
        return parser.found


def test_a_run_from_start_to_report(lab, small_run):
    async def scenario(lab):
        run = await lab.run(small_run)
        events = await lab.watch("small")
        assert run.state == pb.RUN_STATE_SUCCEEDED, run.message
        assert states(events) == [
            "QUEUED", "EVALUATING_BASE", "RUNNING", "EVALUATING_TUNED", "REPORTING", "SUCCEEDED",
        ]  # fmt: skip
        steps = [event.step for event in events if event.HasField("step")]
        assert [step.step for step in steps] == [1, 2, 3, 4]
        assert all(0.0 <= step.ratio_deviation < 1e-5 for step in steps)
        assert all(step.samples == 12 and not step.replayed for step in steps)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        # Live and replayed streams tell the same.
        assert await lab.watch("small", after=5) == events[5:]
        return run

    run = lab(scenario)
    assert run.oracle_calls == 4 * 12 + 2 * 20
    assert run.steps_done == 4
    assert run.base.n == run.tuned.n == 20
    assert {"report.html", "summary.json", "events.jsonl"} <= set(run.artifacts)


def test_what_a_run_writes(lab, small_run, tmp_path):
    lab(lambda lab: lab.run(small_run))
    folder = tmp_path / "runs" / "small"
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary["base"]) >= KEYS
    assert set(summary["tuned"]) >= KEYS
    assert summary["calculator"] == "geometry-1"
    assert summary["steps"] == 4
    assert summary["base"]["msun_ci95"][0] <= summary["base"]["msun"] <= summary["base"]["msun_ci95"][1]
    config = json.loads((folder / "config.json").read_text())
    assert config["seed"] == 3
    assert config["reward"]["name"] == "discovery"
    assert json.loads((folder / "versions.json").read_text())["software"]["torch"]
    assert len((folder / "events.jsonl").read_text().splitlines()) > 10
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == [
        "step-000000", "step-000002", "step-000003", "step-000004",
    ]  # fmt: skip
    for which in ("base", "tuned"):
        table = pq.read_table(folder / "evaluations" / f"{which}.parquet")
        assert table.num_rows == 20
        share = np.mean([bool(value) for value in table.column("valid").to_pylist()])
        assert share == pytest.approx(summary[which]["valid"])
    board = EventAccumulator(str(folder / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("reward/mean")] == [1, 2, 3, 4]
    report = (folder / "report.html").read_text()
    assert "Plotly.newPlot" in report
    assert "http-equiv" not in report
    assert not Links.of(report)


def test_candidates_are_the_metastable_novel_and_unique_ones(lab, small_run, tmp_path):
    lab(lambda lab: lab.run(small_run))
    folder = tmp_path / "runs" / "small"
    parquet = folder / "candidates.parquet"
    if not parquet.exists():
        pytest.fail("the run found no candidate; give the test another seed")
    table = pq.read_table(parquet).to_pydict()
    assert all(energy < 0.1 for energy in table["e_above_hull"])
    assert all(value == 1.0 for value in table["novel"] + table["unique"] + table["valid"])
    frames = read(folder / "candidates.extxyz", ":")
    assert [frame.info["id"] for frame in frames] == table["id"]
    assert [len(frame) for frame in frames] == table["num_atoms"]
    for frame, cell in zip(frames, table["lattice"], strict=True):
        np.testing.assert_allclose(frame.cell.array.ravel(), cell, atol=1e-6)


@pytest.mark.parametrize("stop_after", [1, 3])
def test_an_interrupted_run_ends_in_the_same_weights(lab, small_run, tmp_path, stop_after):
    async def begin(lab):
        await lab.stub.StartRun(pb.StartRunRequest(config=small_run))
        await lab.until_step("small", stop_after)

    async def go_on(lab):
        assert (await lab.stub.GetRun(pb.GetRunRequest(name="small"))).run.state == pb.RUN_STATE_INTERRUPTED
        await lab.stub.ResumeRun(pb.ResumeRunRequest(name="small"))
        return states(await lab.watch("small"))

    lab(begin, runs=tmp_path / "killed")
    assert lab(go_on, runs=tmp_path / "killed")[-1] == "SUCCEEDED"
    lab(lambda lab: lab.run(small_run), runs=tmp_path / "whole")
    assert equal(weights(tmp_path / "killed", "small", 4), weights(tmp_path / "whole", "small", 4))
    assert not equal(weights(tmp_path / "whole", "small", 4), weights(tmp_path / "whole", "small", 0))
    files = ["candidates.extxyz", "candidates.parquet"]
    for file in files:
        ours, theirs = (tmp_path / which / "small" / file for which in ("killed", "whole"))
        assert ours.exists() == theirs.exists()
    first, second = (
        json.loads((tmp_path / w / "small" / "summary.json").read_text()) for w in ("killed", "whole")
    )
    assert first["tuned"] == second["tuned"]
    assert first["base"] == second["base"]


def test_stop_then_resume(lab, small_run):
    small_run.steps = 30

    async def scenario(lab):
        await lab.stub.StartRun(pb.StartRunRequest(config=small_run))
        await lab.until_step("small", 2)
        await lab.stub.StopRun(pb.StopRunRequest(name="small"))
        events = await lab.watch("small")
        assert states(events)[-1] == "STOPPED"
        done = max(event.step.step for event in events)
        assert done < 30
        await refused(
            lab.stub.ResumeRun(pb.ResumeRunRequest(name="small", steps=1)),
            grpc.StatusCode.FAILED_PRECONDITION,
        )
        await lab.stub.ResumeRun(pb.ResumeRunRequest(name="small", steps=done + 2))
        after = await lab.watch("small", after=events[-1].sequence)
        assert [event.step.step for event in after if event.HasField("step")] == [done + 1, done + 2]
        run = (await lab.stub.GetRun(pb.GetRunRequest(name="small"))).run
        assert run.state == pb.RUN_STATE_SUCCEEDED
        assert run.steps_total == done + 2
        await refused(
            lab.stub.ResumeRun(pb.ResumeRunRequest(name="small")), grpc.StatusCode.FAILED_PRECONDITION
        )

    lab(scenario)


def test_weights_lost_by_the_generator_are_pushed_again(lab, small_run):
    async def scenario(lab):
        await lab.stub.StartRun(pb.StartRunRequest(config=small_run))
        await lab.until_step("small", 1)
        lab.generator.policies._current = lab.generator.policies.base  # what a restart leaves
        events = await lab.watch("small")
        assert states(events)[-1] == "SUCCEEDED"
        return lab.runs

    runs = lab(scenario)
    lab(lambda lab: lab.run(small_run), runs=runs.parent / "whole")
    assert equal(weights(runs, "small", 4), weights(runs.parent / "whole", "small", 4))


def test_another_calculator_in_mid_run_fails_the_run(lab, small_run):
    small_run.steps = 30

    async def scenario(lab):
        await lab.stub.StartRun(pb.StartRunRequest(config=small_run))
        await lab.until_step("small", 1)
        lab.oracle.calculator = "geometry-2"
        await lab.watch("small")
        run = (await lab.stub.GetRun(pb.GetRunRequest(name="small"))).run
        assert run.state == pb.RUN_STATE_FAILED
        assert "geometry-1" in run.message
        assert "geometry-2" in run.message

    lab(scenario)


def test_early_stop_on_a_plateau(lab, small_run):
    small_run.steps = 30
    small_run.early_stopping.patience = 2
    small_run.early_stopping.window = 1
    small_run.early_stopping.min_delta = 10.0

    async def scenario(lab):
        run = await lab.run(small_run)
        assert run.state == pb.RUN_STATE_SUCCEEDED
        assert run.steps_done == 3
        assert "has not risen for 2 steps" in run.message
        assert run.HasField("tuned")

    lab(scenario)


def test_names_are_taken_once(lab, small_run):
    async def scenario(lab):
        await lab.run(small_run)
        again = await lab.stub.StartRun(pb.StartRunRequest(config=small_run))
        assert again.run.state == pb.RUN_STATE_SUCCEEDED
        small_run.seed = 4
        call = lab.stub.StartRun(pb.StartRunRequest(config=small_run))
        assert "another configuration" in await refused(call, grpc.StatusCode.ALREADY_EXISTS)

    lab(scenario)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden"])
def test_names_that_leave_the_directory_are_refused(lab, small_run, name):
    small_run.name = name
    lab(
        lambda lab: refused(
            lab.stub.StartRun(pb.StartRunRequest(config=small_run)), grpc.StatusCode.INVALID_ARGUMENT
        )
    )


def test_list_and_unknown_runs(lab, small_run):
    async def scenario(lab):
        for name in ("one", "two", "three"):
            small_run.name = name
            await lab.run(small_run)
        page = await lab.stub.ListRuns(pb.ListRunsRequest(page_size=2))
        assert [run.name for run in page.runs] == ["three", "two"]
        rest = await lab.stub.ListRuns(pb.ListRunsRequest(page_token=page.next_page_token))
        assert [run.name for run in rest.runs] == ["one"]
        assert not rest.next_page_token
        none = await lab.stub.ListRuns(pb.ListRunsRequest(states=[pb.RUN_STATE_FAILED]))
        assert not none.runs
        await refused(lab.stub.GetRun(pb.GetRunRequest(name="four")), grpc.StatusCode.NOT_FOUND)

    small_run.steps, small_run.evaluation.n = 1, 0
    lab(scenario)


def test_artifacts(lab, small_run, tmp_path):
    async def scenario(lab):
        await lab.run(small_run)
        request = pb.GetArtifactRequest(run_name="small", artifact="report.html")
        parts = [part async for part in lab.stub.GetArtifact(request)]
        data = b"".join(part.data for part in parts)
        assert data == (tmp_path / "runs" / "small" / "report.html").read_bytes()
        assert parts[0].media_type == "text/html"
        assert parts[0].total_bytes == len(data)
        for artifact in ("../../etc/passwd", "run.json"):
            call = lab.stub.GetArtifact(pb.GetArtifactRequest(run_name="small", artifact=artifact))
            await refused(call.read(), grpc.StatusCode.NOT_FOUND)

    lab(scenario)


def test_relaxed_metrics_are_of_the_relaxed_crystals(lab):
    async def scenario(lab):
        request = pb.EvaluateRequest(settings={"n": 40, "relax": {}}, seed=5)
        answers = [answer async for answer in lab.stub.Evaluate(request)]
        plain = [a async for a in lab.stub.Evaluate(pb.EvaluateRequest(settings={"n": 40}, seed=5))]
        return answers, plain[-1].evaluation

    answers, plain = lab(scenario)
    assert {answer.progress.stage for answer in answers[:-1]} == {"sample", "score", "relax"}
    evaluation = answers[-1].evaluation
    assert not plain.HasField("relaxed")
    assert evaluation.msun == plain.msun
    # At the best volume every crystal is on the hull; single atoms cannot be relaxed and count as missed.
    relaxed = evaluation.metrics["relaxed_share"]
    assert 0 < relaxed < 1
    assert evaluation.relaxed.metastable.value == evaluation.relaxed.stable.value == relaxed
    assert 0 < evaluation.relaxed.msun.value <= relaxed
    assert evaluation.metrics["relaxed_e_above_hull_median"] == pytest.approx(0.0, abs=1e-6)
    # On the hull the grade of stability is 1, and only what was relaxed has one.
    assert evaluation.metrics["relaxed_continuous_stability"] == pytest.approx(relaxed)
    assert evaluation.metrics["relaxed_continuous_sun"] <= relaxed
    assert evaluation.metrics["relaxed_novel"] <= relaxed


def test_evaluate_a_run_and_the_base(lab, small_run):
    async def result(lab, **fields):
        request = pb.EvaluateRequest(settings={"n": 20}, seed=5, **fields)
        answers = [answer async for answer in lab.stub.Evaluate(request)]
        assert all(answer.HasField("progress") for answer in answers[:-1])
        return answers[-1].evaluation

    async def scenario(lab):
        await lab.run(small_run)
        tuned, base = await result(lab, run_name="small"), await result(lab, run_name="small", step=0)
        again = await result(lab, run_name="small")
        assert tuned.n == base.n == 20
        assert tuned.policy_version.startswith("small/4:")
        assert base.policy_version.startswith("small/0:")
        assert tuned.msun == again.msun
        assert tuned.metrics == again.metrics
        assert tuned.metrics["continuous_novelty"] == 0.5
        assert 0 < tuned.metrics["continuous_sun"] == 0.25 * tuned.metrics["continuous_stability"]
        assert tuned.metrics["e_above_hull_mean"] != base.metrics["e_above_hull_mean"]

    lab(scenario)


def test_no_evaluation_beside_a_run_at_work(lab, small_run):
    small_run.steps = 50

    async def scenario(lab):
        await lab.stub.StartRun(pb.StartRunRequest(config=small_run))
        await lab.until_step("small", 1)
        call = lab.stub.Evaluate(pb.EvaluateRequest(settings={"n": 5}))
        assert "at work" in await refused(call.read(), grpc.StatusCode.FAILED_PRECONDITION)

    lab(scenario)


def test_validate_only_starts_nothing(lab, small_run, tmp_path):
    async def scenario(lab):
        answer = await lab.stub.StartRun(pb.StartRunRequest(config=small_run, validate_only=True))
        assert answer.run.config.optimizer.clip_low > 0.0
        assert not (await lab.stub.ListRuns(pb.ListRunsRequest())).runs

    lab(scenario)
    assert not (tmp_path / "runs" / "small").exists()
