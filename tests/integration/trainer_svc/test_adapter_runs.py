"""Runs that train a low-rank adapter: what travels, what is kept, and that nothing else changes."""

import json

import grpc
import numpy as np
import pytest
from safetensors.numpy import load_file

from xenolith.client import AsyncClient
from xenolith.errors import FailedPreconditionError, InvalidArgumentError
from xenolith.serving import running_server
from xenolith.v1 import trainer_pb2 as pb


@pytest.fixture
def adapter_run(small_run):
    small_run.adapter_rank = 2
    # Attention is left out, of which the bundle (its blocks still gated by zeros) makes no use at first.
    small_run.adapter_targets.extend(["mlp", "modulation"])
    small_run.optimizer.learning_rate = 1e-2
    return small_run


def checkpoint(runs, step, file="weights"):
    return load_file(runs / "small" / "checkpoints" / f"step-{step:06d}" / f"{file}.safetensors")


def equal(a, b):
    return set(a) == set(b) and all(np.array_equal(a[name], b[name]) for name in a)


def test_an_adapter_run_samples_what_it_trains_and_changes_its_layers_alone(lab, adapter_run, tmp_path):
    async def scenario(lab):
        run = await lab.run(adapter_run)
        assert run.state == pb.RUN_STATE_SUCCEEDED, run.message
        steps = [event.step for event in await lab.watch("small") if event.HasField("step")]
        assert [step.step for step in steps] == [1, 2, 3, 4]
        assert all(0.0 <= step.ratio_deviation < 1e-5 for step in steps)
        assert steps[0].kl < steps[-1].kl  # held to the policy without adapter, which it leaves
        return run.config

    config = lab(scenario)
    assert (config.adapter_rank, list(config.adapter_targets)) == (2, ["mlp", "modulation"])
    base, tuned = checkpoint(tmp_path / "runs", 0), checkpoint(tmp_path / "runs", 4)
    changed = {name for name in base if not np.array_equal(base[name], tuned[name])}
    assert base.keys() == tuned.keys()
    assert changed == {
        f"blocks.{block}.{layer}.weight" for block in (0, 1) for layer in ("mlp.0", "mlp.2", "modulation")
    }


def test_an_interrupted_adapter_run_ends_in_the_same_weights(lab, adapter_run, tmp_path):
    async def begin(lab):
        await lab.stub.StartRun(pb.StartRunRequest(config=adapter_run))
        await lab.until_step("small", 2)

    async def go_on(lab):
        await lab.stub.ResumeRun(pb.ResumeRunRequest(name="small"))
        await lab.watch("small")

    lab(begin, runs=tmp_path / "killed")
    lab(go_on, runs=tmp_path / "killed")
    lab(lambda lab: lab.run(adapter_run), runs=tmp_path / "whole")
    for file in ("weights", "adapter", "optimizer"):
        assert equal(*(checkpoint(tmp_path / which, 4, file) for which in ("killed", "whole"))), file


def test_an_adapter_is_read_back_and_needs_its_base(lab, adapter_run):
    async def scenario(lab):
        adapter_run.steps, adapter_run.evaluation.n = 1, 0
        await lab.run(adapter_run)
        async with (
            running_server([lab.generator]) as server,
            AsyncClient.connect(generator=server.address) as client,
        ):
            read = await client.generator.get_weights(adapter=True)
            full = await client.generator.get_weights()
            assert read.header.policy_version.startswith("small/1:")
            assert read.header.base_policy_version.startswith("small/0:")
            assert json.loads(read.header.config_json)["adapter"]["rank"] == 2
            up, down = (read.tensors[f"blocks.0.mlp.0.{part}"] for part in ("up", "down"))
            base = checkpoint(lab.runs, 0)["blocks.0.mlp.0.weight"]
            np.testing.assert_allclose(
                full.tensors["blocks.0.mlp.0.weight"], base + 2.0 * up @ down, atol=1e-6
            )

            async def push(**changed):
                settings = {
                    "policy_version": "mine",
                    "bundle_digest": read.header.bundle_digest,
                    "base_policy_version": read.header.base_policy_version,
                    "config_json": read.header.config_json,
                }
                tensors = changed.pop("tensors", read.tensors)
                return await client.generator.update_weights(tensors, adapter=True, **settings | changed)

            with pytest.raises(
                FailedPreconditionError, match=r"'elsewhere/3', at hand are base:.*full weights"
            ):
                await push(base_policy_version="elsewhere/3")
            with pytest.raises(InvalidArgumentError, match="config_json"):
                await push(config_json="{}")
            with pytest.raises(InvalidArgumentError, match=r"blocks\.0\.mlp\.0\.up"):
                await push(tensors={k: v for k, v in read.tensors.items() if k != "blocks.0.mlp.0.up"})
            assert (await client.generator.describe()).policy_version == read.header.policy_version
            await push(base_policy_version="base")
            await client.generator.update_weights(
                full.tensors, policy_version="plain", bundle_digest=read.header.bundle_digest
            )
            with pytest.raises(FailedPreconditionError, match="'plain' has no adapter"):
                await client.generator.get_weights(adapter=True)

    lab(scenario)


def test_settings_of_an_adapter_without_one_are_refused(lab, small_run):
    small_run.adapter_alpha = 4.0

    async def scenario(lab):
        with pytest.raises(grpc.aio.AioRpcError, match="need adapter_rank"):
            await lab.stub.StartRun(pb.StartRunRequest(config=small_run))

    lab(scenario)
