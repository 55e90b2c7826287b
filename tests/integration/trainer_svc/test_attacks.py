"""What a caller may ask of a trainer ends somewhere, and whoever waits can be taken out of the queue."""

import asyncio

import grpc
import pytest

from trainer_svc.config.limits import RunLimits
from xenolith.contract.errors import error_from_call
from xenolith.v1 import trainer_pb2 as pb

HUGE = 2**31 - 1
LIMITS = RunLimits()


async def refused(call, code=grpc.StatusCode.INVALID_ARGUMENT):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    error = error_from_call(caught.value)
    assert error.code is code, error
    return error


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"steps": HUGE}, "config.steps"),
        ({"groups": HUGE}, "config.groups"),
        ({"groups": 1_000, "group_size": 1_000}, "config.groups"),
        ({"adapter_rank": HUGE}, "config.adapter_rank"),
        ({"evaluation": {"n": HUGE}}, "config.evaluation.n"),
        ({"evaluation": {"n": 1_000, "seeds": range(1, 1_001)}}, "config.evaluation.n"),
        ({"evaluation": {"n": 1, "bootstrap": HUGE}}, "config.evaluation.bootstrap"),
        ({"labels": {"note": "x" * 20_000_000}}, "config.labels"),
        ({"atom_counts": {"choices": [1] * 1_000_000}}, "config.atom_counts.choices"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_runs_of_astronomical_size_are_refused(lab, change, field):
    """B6."""

    async def scenario(lab):
        config = pb.RunConfig(name="huge", **change)
        for validate_only in (True, False):
            request = pb.StartRunRequest(config=config, validate_only=validate_only)
            error = await refused(lab.stub.StartRun(request))
            assert [violation.field for violation in error.violations] == [field]
        assert not lab.manager.names()

    lab(scenario)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.EvaluateRequest(settings={"n": 3_000_000}), "settings.n"),
        (pb.EvaluateRequest(atom_counts={"choices": [1] * 5_000_000}), "atom_counts.choices"),
    ],
    ids=["B7", "B8"],
)
def test_evaluations_of_astronomical_size_are_refused(lab, request_, field):
    """B7, B8: millions of samples, millions of choices."""

    async def scenario(lab):
        error = await refused(lab.stub.Evaluate(request_))
        assert [violation.field for violation in error.violations] == [field]

    lab(scenario)


def test_the_queue_of_runs_is_bounded_and_what_waits_in_it_can_be_stopped(lab, small_run):
    """B5."""

    async def scenario(lab):
        async with lab.manager.turn:  # as another run would hold it
            for number in range(32):
                small_run.name = f"run-{number}"
                await lab.stub.StartRun(pb.StartRunRequest(config=small_run))
            small_run.name = "one-too-many"
            error = await refused(
                lab.stub.StartRun(pb.StartRunRequest(config=small_run)), grpc.StatusCode.RESOURCE_EXHAUSTED
            )
            assert error.retry_after_s == 30
            for number in range(1, 32):
                answer = await lab.stub.StopRun(pb.StopRunRequest(name=f"run-{number}"))
                assert answer.run.state == pb.RUN_STATE_STOPPED
            await asyncio.sleep(0)
            await lab.stub.StartRun(pb.StartRunRequest(config=small_run))
            await lab.stub.StopRun(pb.StopRunRequest(name="one-too-many"))
        await lab.watch("run-0")
        names = (await lab.stub.ListRuns(pb.ListRunsRequest(states=[pb.RUN_STATE_STOPPED]))).runs
        assert len(names) == 32
        assert {run.steps_done for run in names} == {0}
        # What was taken out can go on later.
        await lab.stub.ResumeRun(pb.ResumeRunRequest(name="run-1"))
        await lab.watch("run-1")
        return (await lab.stub.GetRun(pb.GetRunRequest(name="run-1"))).run

    assert lab(scenario).state == pb.RUN_STATE_SUCCEEDED


def test_a_run_is_not_resumed_to_more_steps_than_one_may_have(lab, small_run):
    async def scenario(lab):
        await lab.run(small_run)
        error = await refused(lab.stub.ResumeRun(pb.ResumeRunRequest(name="small", steps=HUGE)))
        assert [violation.field for violation in error.violations] == ["steps"]

    lab(scenario)
