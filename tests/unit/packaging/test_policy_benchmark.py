"""The arithmetic of ``benchmarks.policy``: when a run was there, and what ratios say of others."""

import pytest

from benchmarks.policy import report
from benchmarks.policy_parts.contenders import CONTENDERS, contender, samples_per_step
from benchmarks.policy_parts.race import Cost, Finish, Point, curve, finish
from trainer_svc.config.messages import config_from_proto
from xenolith.client import run_config
from xenolith.v1 import trainer_pb2


def point(calls, msun):
    cost = Cost(calls=calls, wall_s=calls / 10, evaluations=calls / 2)
    return Point(cost=cost, msun=msun, low=msun, high=msun, unique=1.0)


def ended(calls, censored=False):
    return Finish(cost=point(calls, 0.0).cost, censored=censored)


@pytest.mark.parametrize("name", CONTENDERS)
def test_every_contender_is_a_run_that_the_trainer_takes(name):
    config = config_from_proto(run_config({**contender(name), "name": name}))
    assert config.groups * config.group_size == samples_per_step(contender(name))


def test_a_run_is_there_between_the_evaluations_that_enclose_the_share():
    end = finish([point(0, 0.1), point(100, 0.15), point(300, 0.25)], gain=0.1)
    assert not end.censored
    assert (end.cost.calls, end.cost.wall_s, end.cost.evaluations) == pytest.approx((200, 20, 100))


def test_a_run_that_never_gets_there_costs_at_least_all_that_it_took():
    end = finish([point(0, 0.1), point(100, 0.19)], gain=0.1)
    assert end == ended(100, censored=True)


def test_ratios_are_lower_bounds_where_the_slow_one_did_not_get_there():
    figures = report(
        {"awm": [ended(100), ended(300)], "paper": [ended(2000, True)] * 2, "grpo": [ended(600)] * 2}
    )
    assert (figures["calls_ratio"], figures["wall_ratio"], figures["evaluations_ratio"]) == (10, 10, 10)
    assert figures["censored"]
    assert figures["calls_ratio_grpo"] == 3
    assert not figures["censored_grpo"]
    assert figures["against_paper"]["grpo"]["calls_ratio"] == pytest.approx(10 / 3)


def test_there_is_no_ratio_where_the_fast_one_did_not_get_there():
    figures = report({"awm": [ended(100, True)], "paper": [ended(2000)]})
    assert figures["calls_ratio"] is None


def test_costs_are_those_of_steps_and_not_of_evaluations():
    share = trainer_pb2.Estimate(value=0.5, low=0.4, high=0.6)
    evaluation = trainer_pb2.Evaluation(n=64, msun=share, unique=share)
    step = trainer_pb2.StepEvent(step=1, samples=32, calculator_evaluations=30, timings={"total": 2.0})
    again = trainer_pb2.StepEvent(step=1, samples=32, timings={"total": 2.0}, replayed=True)
    events = [
        trainer_pb2.WatchRunResponse(evaluation=trainer_pb2.EvaluationEvent(evaluation=evaluation)),
        trainer_pb2.WatchRunResponse(step=step),
        trainer_pb2.WatchRunResponse(step=again),
        trainer_pb2.WatchRunResponse(evaluation=trainer_pb2.EvaluationEvent(evaluation=evaluation)),
    ]
    first, last = curve(events)
    assert first.cost == Cost(calls=0, wall_s=0, evaluations=0)
    assert last.cost == Cost(calls=32, wall_s=2, evaluations=30)
