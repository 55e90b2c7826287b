"""Policies of earlier runs: sampled from on demand, and started from."""

import grpc
import numpy as np
import pytest
from safetensors.numpy import load_file

from xenolith.client import AsyncClient
from xenolith.errors import FailedPreconditionError
from xenolith.serving import running_server
from xenolith.v1 import trainer_pb2 as pb


def weights(runs, name, step):
    return load_file(runs / name / "checkpoints" / f"step-{step:06d}" / "weights.safetensors")


def equal(a, b):
    return set(a) == set(b) and all(np.array_equal(a[name], b[name]) for name in a)


async def refused(call, code):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() == code
    return caught.value.details()


def test_a_run_s_policy_and_the_bundle_s_own_can_both_be_sampled(lab, small_run):
    async def scenario(lab):
        await lab.run(small_run)
        tuned = await lab.stub.PublishPolicy(pb.PublishPolicyRequest(run_name="small"))
        assert (tuned.step, tuned.policy_version[:8]) == (4, "small/4:")
        async with (
            running_server([lab.generator]) as server,
            AsyncClient.connect(generator=server.address) as client,
        ):

            async def sampled(version):
                return await client.generator.sample(n=3, seed=1, expected_policy_version=version)

            ours, base = await sampled(tuned.policy_version), await sampled("base")
            assert ours.policy_version == tuned.policy_version
            assert base.policy_version.startswith("base:")
            assert not np.array_equal(ours.crystals.lattices, base.crystals.lattices)
            first = await lab.stub.PublishPolicy(pb.PublishPolicyRequest(run_name="small", step=0))
            again = await sampled(first.policy_version)
            assert np.array_equal(again.crystals.lattices, base.crystals.lattices)
            with pytest.raises(FailedPreconditionError):
                await sampled(tuned.policy_version)

    lab(scenario)


def test_a_run_starts_from_another_s_policy(lab, small_run, tmp_path):
    small_run.evaluation.n = 0

    async def scenario(lab):
        await lab.run(small_run)
        for name, start in (("latest", "small"), ("second", "small/2")):
            small_run.name, small_run.from_run, small_run.steps = name, start, 1
            run = await lab.run(small_run)
            assert run.state == pb.RUN_STATE_SUCCEEDED, run.message

    lab(scenario)
    runs = tmp_path / "runs"
    assert equal(weights(runs, "latest", 0), weights(runs, "small", 4))
    assert equal(weights(runs, "second", 0), weights(runs, "small", 2))
    assert not equal(weights(runs, "second", 1), weights(runs, "second", 0))


def test_what_is_not_there_cannot_be_sampled_or_started_from(lab, small_run):
    small_run.evaluation.n = 0

    async def scenario(lab):
        await lab.run(small_run)
        publish = lab.stub.PublishPolicy
        await refused(publish(pb.PublishPolicyRequest(run_name="none")), grpc.StatusCode.NOT_FOUND)
        details = await refused(
            publish(pb.PublishPolicyRequest(run_name="small", step=9)), grpc.StatusCode.DATA_LOSS
        )
        assert "no checkpoint of step 9" in details
        small_run.name, small_run.from_run = "next", "none"
        run = await lab.run(small_run)
        assert run.state == pb.RUN_STATE_FAILED
        assert "no run 'none'" in run.message

    lab(scenario)
