"""The report: complete from partial data, harmless with hostile text, right in its numbers."""

import json
import re

import numpy as np
import pytest

from trainer_svc.evaluation.headline import estimates
from trainer_svc.report import sample_charts
from trainer_svc.report.blocks import comparison, idle_shares, verdict
from trainer_svc.report.data import Policy, ReportData
from trainer_svc.report.drawing import draw
from trainer_svc.report.page import render
from trainer_svc.rewards.measurements import Measurements
from trainer_svc.runs.summary import run_summary
from xenolith.crystal import Crystal
from xenolith.v1 import trainer_pb2 as pb

SALT = Crystal(
    lattice=np.array([[0.0, 2.8, 2.8], [2.8, 0.0, 2.8], [2.8, 2.8, 0.0]]),
    numbers=np.array([11, 17]),
    frac_coords=np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]),
)


def policy(name, hits, size=100):
    """A policy of which `hits` samples are mSUN."""
    energies = np.where(np.arange(size) < hits, 0.02, 0.4)
    ones = np.ones(size)
    values = {"valid": ones, "unique": ones, "novel": ones, "e_above_hull": energies}
    measured = Measurements(status=("OK",) * size, values=values)
    evaluation = pb.Evaluation(n=size)
    for key, estimate in estimates(measured, resamples=500, seed=0).items():
        getattr(evaluation, key).CopyFrom(
            pb.Estimate(value=estimate.value, low=estimate.low, high=estimate.high)
        )
    columns = {key: column.tolist() for key, column in values.items()}
    columns |= {"formula": ["NaCl"] * size, "nearest_reference": [""] * size, "amd_distance": [None] * size}
    return Policy(name=name, evaluation=evaluation, crystals=[SALT] * size, columns=columns)


def data(policies=(), steps=(), **fields):
    run = pb.Run(name="r", steps_done=len(steps), state=pb.RUN_STATE_SUCCEEDED)
    return ReportData(run=run, steps=list(steps), policies=list(policies), candidates=0, **fields)


def steps(count):
    metrics = dict.fromkeys(("msun", "metastable", "unique", "novel", "valid"), 0.5)
    return [pb.StepEvent(step=step + 1, reward_mean=0.1 * step, metrics=metrics) for step in range(count)]


@pytest.mark.parametrize(
    "partial", [data(), data(steps=steps(1)), data([policy("base", 10)]), data([policy("base", 0)], steps(3))]
)
def test_a_run_that_is_not_finished_has_a_report(partial):
    page = render(partial)
    assert page.startswith("<!doctype html>")
    assert "not been evaluated to its end" in page


def test_charts_are_json_without_nan():
    page = render(data([policy("base", 10), policy("tuned", 60)], steps(5)))
    figures = re.findall(r'<script type="application/json">(.*?)</script>', page)
    assert len(figures) == 7
    assert all(json.loads(figure, parse_constant=pytest.fail)["data"] for figure in figures)


def test_idle_shares_are_of_the_time_of_all_steps():
    timings = {"sample": 2.0, "score": 1.0, "relax": 1.0, "update": 0.5, "push": 0.5, "total": 4.0}
    told = idle_shares([pb.StepEvent(step=step, timings=timings) for step in (1, 2)])
    assert told == "generator 50%, oracle 50%, trainer 75%"
    assert idle_shares([]) == idle_shares(steps(2)) == "-"
    overlapping = [pb.StepEvent(timings={"score": 9.0, "total": 4.0})]
    assert "oracle 0%" in idle_shares(overlapping)


def test_the_verdict_depends_on_the_intervals():
    assert "do not overlap" in verdict(data([policy("base", 10), policy("tuned", 60)]))
    assert "intervals overlap" in verdict(data([policy("base", 30), policy("tuned", 33)]))
    assert "fell from 60.0 % to 10.0 %" in verdict(data([policy("base", 60), policy("tuned", 10)]))


def test_the_table_shows_the_shares_of_the_evaluation():
    table = comparison([policy("base", 10), policy("tuned", 60)])
    row = next(row for row in table.split("<tr") if "mSUN" in row)
    assert "<td>10.0<span" in row
    assert "<td>60.0<span" in row
    assert ">+50.0<" in row


def test_the_provenance_says_which_cells_were_trained_and_judged():
    run_data = data([policy("base", 10)])
    run_data.run.config.atom_counts.max = 6
    run_data.run.config.evaluation.atom_counts.max = 12
    assert "trained on 1 to 6 atoms, evaluated on 1 to 12 atoms" in render(run_data)
    run_data.run.config.evaluation.ClearField("atom_counts")
    assert "evaluated on 1 to 6 atoms" in render(run_data)


def test_hostile_text_is_shown_and_not_run():
    hostile = "</script><script>alert(1)</script>"
    run_data = data([policy("base", 10)], warnings=[hostile], versions={"software": {"torch": hostile}})
    run_data.run.name = hostile
    run_data.policies[0].columns["formula"] = [hostile] * 100
    assert "<script>alert" not in render(run_data)


def test_crystals_are_drawn_with_their_atoms_on_faces_and_all_edges():
    picture = draw(SALT)
    # Na on the 8 corners, Cl in the middle, 12 edges and the bonds between.
    assert picture.count("<circle") == 9
    assert picture.count("<title>Cl</title>") == 1
    assert picture.count('stroke="#b8c0cc"') == 12


def test_pareto_front_is_what_no_other_sample_beats():
    x, y = sample_charts.pareto_front(np.array([0.0, 0.1, 0.2, 0.05]), np.array([0.5, 0.4, 2.0, 1.0]))
    assert (x, y) == ([0.0, 0.05, 0.2], [0.5, 1.0, 2.0])


def test_summary_has_the_names_that_others_rely_on():
    run = pb.Run(name="r", steps_done=3, oracle_calls=12, base=policy("base", 10).evaluation)
    summary = run_summary(run)
    assert summary["tuned"] is None
    assert summary["base"]["msun"] == pytest.approx(0.1)
    assert summary["base"]["msun_ci95"][0] < 0.1 < summary["base"]["msun_ci95"][1]
    assert {"oracle_calls", "wall_s", "calculator", "reference", "bundle", "steps"} <= set(summary)
