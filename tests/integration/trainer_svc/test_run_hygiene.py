"""Runs that cannot rot: locked folders, broken ones set aside, full disks, a queue with an end."""

import json
import os
import resource
import signal
from contextlib import contextmanager

import grpc
import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.integration.trainer_svc.conftest import Stub
from trainer_svc.errors import RunLockedError
from trainer_svc.runs.directory import hide_run, list_runs
from trainer_svc.runs.lock import RunLock
from trainer_svc.service import TrainerService
from trainer_svc.training.manager import RunManager
from xenolith.serving import running_server
from xenolith.v1 import trainer_pb2 as pb


async def refused(call, code):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() == code
    return caught.value.details()


async def start(lab, config, **changes):
    other = pb.RunConfig()
    other.CopyFrom(config)
    for name, value in changes.items():
        setattr(other, name, value)
    return (await lab.stub.StartRun(pb.StartRunRequest(config=other))).run


async def state(stub, name):
    return (await stub.GetRun(pb.GetRunRequest(name=name))).run


@contextmanager
def files_end_at(size):
    """Refuse, as a full disk does, whatever makes a file longer than this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def checkpoint(runs, name, step):
    return runs / name / "checkpoints" / f"step-{step:06d}"


def weights(runs, name, step):
    return load_file(checkpoint(runs, name, step) / "weights.safetensors")


def test_a_run_at_work_is_refused_by_a_second_trainer(lab, small_run):
    async def scenario(lab):
        await start(lab, small_run, steps=100)
        await lab.until_step("small", 1)
        second = RunManager(lab.runs, lab.manager.services, lab.manager.worker)
        async with (
            running_server([TrainerService(second)]) as server,
            grpc.aio.insecure_channel(server.address) as channel,
        ):
            stub, code = Stub(channel), grpc.StatusCode.FAILED_PRECONDITION
            # Looking is free, and does not declare the run interrupted.
            assert (await state(stub, "small")).state not in {
                pb.RUN_STATE_INTERRUPTED,
                pb.RUN_STATE_FAILED,
            }
            said = await refused(stub.ResumeRun(pb.ResumeRunRequest(name="small")), code)
            assert f"at work in another trainer (process {os.getpid()} on " in said
            await refused(stub.StopRun(pb.StopRunRequest(name="small")), code)
            await refused(anext(aiter(stub.WatchRun(pb.WatchRunRequest(name="small")))), code)
            await lab.stub.StopRun(pb.StopRunRequest(name="small"))
            await lab.watch("small")
            # Once it is free, the other one sees what was done and goes on from there.
            assert (await state(stub, "small")).state == pb.RUN_STATE_STOPPED
            assert (await stub.ResumeRun(pb.ResumeRunRequest(name="small"))).run.steps_done >= 1
            await refused(lab.stub.ResumeRun(pb.ResumeRunRequest(name="small")), code)
            await second.close()

    lab(scenario)


def test_the_lock_of_a_run_goes_with_its_holder(tmp_path):
    lock = RunLock.take(tmp_path)
    with pytest.raises(RunLockedError, match="process"):
        RunLock.take(tmp_path)
    lock.release()
    RunLock.take(tmp_path).release()


@pytest.mark.parametrize(
    ("file", "damage", "complaint"),
    [
        ("run.json", b"{ cut", "run.json cannot be read"),
        ("run.json", b"[]", "run.json cannot be read"),
        ("events.jsonl", b'{"sequence": "1"}\nnonsense\n', "line 2 of"),
        ("events.jsonl", b"\xff\xfe\n", "line 1 of"),
    ],
)
def test_a_broken_run_is_set_aside_and_the_others_are_served(
    lab, small_run, tmp_path, file, damage, complaint
):
    async def make(lab):
        for name in ("small", "other"):
            await start(lab, small_run, name=name, steps=1)
            await lab.watch(name)

    async def look(lab):
        runs = {run.name: run for run in (await lab.stub.ListRuns(pb.ListRunsRequest())).runs}
        assert runs["other"].state == pb.RUN_STATE_SUCCEEDED
        assert runs["small"].state == pb.RUN_STATE_FAILED
        assert runs["small"].message.startswith("set aside: ")
        assert complaint in runs["small"].message
        said = await refused(
            lab.stub.ResumeRun(pb.ResumeRunRequest(name="small", steps=2)), grpc.StatusCode.DATA_LOSS
        )
        assert complaint in said
        await start(lab, small_run, name="third", steps=1)
        await lab.watch("third")
        # Put right, it is a run again, without a restart.
        path.write_bytes(whole)
        assert (await state(lab.stub, "small")).state == pb.RUN_STATE_SUCCEEDED

    small_run.evaluation.n = 0
    lab(make)
    path = tmp_path / "runs" / "small" / file
    whole = path.read_bytes()
    path.write_bytes(damage)
    lab(look)


@pytest.mark.parametrize("size", [4_096, 64])
def test_a_full_disk_ends_in_a_failure_that_is_told_and_the_run_goes_on_once_there_is_room(
    lab, small_run, tmp_path, size
):
    async def scenario(lab):
        small_run.evaluation.n = 0
        await start(lab, small_run, name="whole")
        await lab.watch("whole")
        await start(lab, small_run)
        await lab.until_step("small", 1)
        with files_end_at(size):
            events = await lab.watch("small")
            assert events[-1].state.state == pb.RUN_STATE_FAILED
            assert "takes no more" in events[-1].state.message
            assert "free some room and resume" in events[-1].state.message
            assert (await state(lab.stub, "small")).state == pb.RUN_STATE_FAILED
        await lab.stub.ResumeRun(pb.ResumeRunRequest(name="small"))
        events = await lab.watch("small")
        assert events[-1].state.state == pb.RUN_STATE_SUCCEEDED, events[-1]
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))

    lab(scenario)
    lines = (tmp_path / "runs" / "small" / "events.jsonl").read_text().splitlines()
    assert [int(json.loads(line)["sequence"]) for line in lines] == list(range(1, len(lines) + 1))
    whole, resumed = (weights(tmp_path / "runs", name, 4) for name in ("whole", "small"))
    assert all(np.array_equal(whole[name], resumed[name]) for name in whole)


def test_a_step_without_room_for_its_checkpoint_is_not_begun_and_the_run_goes_on_once_there_is_room(
    lab, small_run
):
    async def scenario(lab):
        small_run.evaluation.n = 0
        await start(lab, small_run, steps=2)
        await lab.watch("small")
        lab.manager._reserve = 2**60
        await lab.stub.ResumeRun(pb.ResumeRunRequest(name="small", steps=4))
        failed = (await lab.watch("small"))[-1].state
        assert failed.state == pb.RUN_STATE_FAILED
        assert "MiB left, and a step needs about" in failed.message
        assert "resume the run" in failed.message
        assert (await state(lab.stub, "small")).steps_done == 2
        lab.manager._reserve = 0
        await lab.stub.ResumeRun(pb.ResumeRunRequest(name="small"))
        assert (await lab.watch("small"))[-1].state.state == pb.RUN_STATE_SUCCEEDED

    lab(scenario)


def flip(path):
    """Turn one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("weights.safetensors", flip),
        ("optimizer.safetensors", flip),
        ("state.json", flip),
        ("weights.safetensors", cut),
        ("optimizer.safetensors", lambda path: path.unlink()),
    ],
)
def test_a_damaged_checkpoint_is_not_learnt_from_and_the_run_goes_on_from_the_one_before(
    lab, small_run, tmp_path, file, damage
):
    runs = tmp_path / "runs"

    async def scenario(lab):
        small_run.evaluation.n = 20
        await start(lab, small_run, name="whole")
        await lab.watch("whole")
        await start(lab, small_run, steps=3)
        await lab.watch("small")
        damage(checkpoint(runs, "small", 3) / file)
        longer = pb.ResumeRunRequest(name="small", steps=4)
        if file == "state.json":
            # What gives a run more steps reads it at once.
            said = await refused(lab.stub.ResumeRun(longer), grpc.StatusCode.DATA_LOSS)
        else:
            await lab.stub.ResumeRun(longer)
            failed = (await lab.watch("small"))[-1].state
            assert failed.state == pb.RUN_STATE_FAILED
            said = failed.message
        assert f"step-000003/{file}" in said
        assert "the one of step 2 is whole: xenolith train --resume small --from-step 2" in said
        wrong = pb.ResumeRunRequest(name="small", from_step=7)
        assert "there are: 0, 1, 2, 3" in await refused(lab.stub.ResumeRun(wrong), grpc.StatusCode.DATA_LOSS)
        await lab.stub.ResumeRun(pb.ResumeRunRequest(name="small", from_step=2, steps=4))
        events = await lab.watch("small")
        assert events[-1].state.state == pb.RUN_STATE_SUCCEEDED, events[-1]
        assert [event.warning for event in events if event.warning] == [
            "going back from step 3 to the checkpoint of step 2"
        ]
        assert [event.step.step for event in events if event.HasField("step")] == [1, 2, 3, 3, 4]
        ours, theirs = await state(lab.stub, "small"), await state(lab.stub, "whole")
        assert ours.policy_version.split("/")[1:] == theirs.policy_version.split("/")[1:]
        for field in ("msun", "valid", "unique"):
            assert getattr(ours.tuned, field) == getattr(theirs.tuned, field)

    lab(scenario)
    for name in ("weights.safetensors", "optimizer.safetensors"):
        ours, theirs = ((checkpoint(runs, run, 4) / name).read_bytes() for run in ("small", "whole"))
        assert ours == theirs


def test_a_finished_run_can_be_taken_up_again_from_an_earlier_step(lab, small_run, tmp_path):
    async def scenario(lab):
        small_run.evaluation.n = 0
        await start(lab, small_run)
        await lab.watch("small")
        before = weights(tmp_path / "runs", "small", 4)
        await lab.stub.ResumeRun(pb.ResumeRunRequest(name="small", from_step=2))
        assert (await lab.watch("small"))[-1].state.state == pb.RUN_STATE_SUCCEEDED
        again = weights(tmp_path / "runs", "small", 4)
        assert all(np.array_equal(before[name], again[name]) for name in before)

    lab(scenario)


def test_a_queue_ends_and_a_run_in_it_can_be_stopped(lab, small_run):
    async def scenario(lab):
        small_run.evaluation.n = 0
        lab.manager._most = 3
        await start(lab, small_run, steps=100)
        await lab.until_step("small", 1)
        for name in ("second", "third"):
            assert (await start(lab, small_run, name=name, steps=1)).state == pb.RUN_STATE_QUEUED
        said = await refused(
            start(lab, small_run, name="fourth", steps=1), grpc.StatusCode.RESOURCE_EXHAUSTED
        )
        assert "3 runs are at work or wait for their turn" in said
        stopped = (await lab.stub.StopRun(pb.StopRunRequest(name="second"))).run
        assert stopped.state == pb.RUN_STATE_STOPPED
        assert (await lab.watch("second"))[-1].state.state == pb.RUN_STATE_STOPPED
        await lab.stub.StopRun(pb.StopRunRequest(name="small"))
        assert (await lab.watch("third"))[-1].state.state == pb.RUN_STATE_SUCCEEDED
        assert (await state(lab.stub, "second")).steps_done == 0
        await lab.stub.ResumeRun(pb.ResumeRunRequest(name="second"))
        assert (await lab.watch("second"))[-1].state.state == pb.RUN_STATE_SUCCEEDED

    lab(scenario)


def test_a_run_is_deleted_with_its_files_and_never_while_it_is_at_work_or_queued(lab, small_run):
    async def scenario(lab):
        small_run.evaluation.n = 0
        await start(lab, small_run, steps=100)
        await start(lab, small_run, name="queued", steps=1)
        await lab.until_step("small", 1)
        for name in ("small", "queued"):
            said = await refused(
                lab.stub.DeleteRun(pb.DeleteRunRequest(name=name)), grpc.StatusCode.FAILED_PRECONDITION
            )
            assert "stop it before deleting it" in said
        await lab.stub.StopRun(pb.StopRunRequest(name="queued"))
        await lab.stub.DeleteRun(pb.DeleteRunRequest(name="queued"))
        await refused(lab.stub.GetRun(pb.GetRunRequest(name="queued")), grpc.StatusCode.NOT_FOUND)
        await lab.stub.StopRun(pb.StopRunRequest(name="small"))
        await lab.watch("small")
        # Broken ones can be deleted, too.
        (lab.runs / "small" / "run.json").write_text("{ cut")
        await lab.stub.DeleteRun(pb.DeleteRunRequest(name="small"))
        assert list(lab.runs.iterdir()) == []
        assert (await start(lab, small_run, name="queued", steps=2)).state == pb.RUN_STATE_QUEUED
        assert (await lab.watch("queued"))[-1].state.state == pb.RUN_STATE_SUCCEEDED

    lab(scenario)


def test_what_a_kill_left_of_a_deleted_run_is_no_run_and_is_removed_at_the_next_start(
    lab, small_run, tmp_path
):
    async def make(lab):
        small_run.evaluation.n = 0
        await start(lab, small_run, steps=1)
        await lab.watch("small")

    async def look(lab):
        assert not (await lab.stub.ListRuns(pb.ListRunsRequest())).runs
        assert list(lab.runs.iterdir()) == []

    lab(make)
    hide_run(tmp_path / "runs" / "small")
    assert list_runs(tmp_path / "runs") == []
    lab(look)


def test_a_trainer_describes_limits_that_are_those_that_it_keeps(lab, small_run):
    async def scenario(lab):
        described = await lab.stub.Describe(pb.TrainerServiceDescribeRequest())
        assert "grpo" in described.algorithms
        assert "discovery" in described.reward_specs
        assert described.max_queued_runs == 32
        limits = dict(described.limits)
        for field, value in (("steps", small_run.steps), ("adapter_rank", 4)):
            most = int(limits[f"config.{field}"])
            assert value < most
            said = await refused(start(lab, small_run, **{field: most + 1}), grpc.StatusCode.INVALID_ARGUMENT)
            assert f"config.{field}" in said
            assert str(most) in said
        small_run.evaluation.bootstrap = int(limits["config.evaluation.bootstrap"]) + 1
        said = await refused(start(lab, small_run), grpc.StatusCode.INVALID_ARGUMENT)
        assert "config.evaluation.bootstrap" in said

    lab(scenario)
