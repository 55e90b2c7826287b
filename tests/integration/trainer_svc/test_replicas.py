"""A run on two replicas of a generator, which gRPC asks by turns."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import torch

from generator_svc.service.engine import Engine
from generator_svc.service.policy import PolicyStore
from generator_svc.service.servicer import GeneratorService
from generator_svc.storage.bundle import load_bundle
from tests.integration.trainer_svc.geometry_oracle import GeometryOracle
from trainer_svc.service import TrainerService
from trainer_svc.services.remote import Services
from trainer_svc.training.manager import RunManager
from xenolith.bundle import Bundle
from xenolith.serving import Worker, running_server
from xenolith.v1 import trainer_pb2, trainer_pb2_grpc


class Replica(GeneratorService):
    """A generator that counts what it is asked."""

    sampled = 0

    async def Sample(self, request, context):
        self.sampled += 1
        async for answer in super().Sample(request, context):
            yield answer


def replica(bundle: Bundle) -> Replica:
    return Replica(Engine(load_bundle(bundle), torch.device("cpu")))


@asynccontextmanager
async def runs_on(generator: str, runs: Path) -> AsyncIterator[trainer_pb2_grpc.TrainerServiceStub]:
    worker = Worker("trainer")
    await worker.run(torch.set_num_threads, 1)
    async with running_server([GeometryOracle()]) as oracle:
        manager = RunManager(runs, Services(generator=generator, oracle=oracle.address), worker)
        async with (
            running_server([TrainerService(manager)]) as server,
            grpc.aio.insecure_channel(server.address) as channel,
        ):
            yield trainer_pb2_grpc.TrainerServiceStub(channel)
            await manager.close()
    worker.close()


def test_both_replicas_get_the_weights_and_share_the_samples(tiny_bundle, small_run, tmp_path) -> None:
    one, two = replica(tiny_bundle), replica(tiny_bundle)

    async def on_both() -> trainer_pb2.Run:
        async with running_server([one]) as first, running_server([two]) as second:
            both = f"ipv4:{first.address},{second.address}"
            async with runs_on(both, tmp_path / "both") as stub:
                await finished(stub, small_run)
                return (await stub.GetRun(trainer_pb2.GetRunRequest(name="small"))).run

    async def on_one() -> trainer_pb2.Run:
        async with (
            running_server([replica(tiny_bundle)]) as only,
            runs_on(only.address, tmp_path / "one") as stub,
        ):
            await finished(stub, small_run)
            return (await stub.GetRun(trainer_pb2.GetRunRequest(name="small"))).run

    run = asyncio.run(on_both())
    assert run.state == trainer_pb2.RUN_STATE_SUCCEEDED, run.message
    assert one.sampled > 2 and two.sampled > 2
    assert one.policies.current.version == two.policies.current.version
    alone = asyncio.run(on_one())
    assert alone.state == trainer_pb2.RUN_STATE_SUCCEEDED
    last = "small/checkpoints/step-000004/weights.safetensors"
    assert (tmp_path / "both" / last).read_bytes() == (tmp_path / "one" / last).read_bytes()


def test_a_replica_that_comes_back_with_its_own_policy_gets_the_weights_again(
    tiny_bundle, small_run, tmp_path
) -> None:
    one, two = replica(tiny_bundle), replica(tiny_bundle)

    async def scenario() -> trainer_pb2.Run:
        async with (
            running_server([one]) as first,
            running_server([two]) as second,
            runs_on(f"ipv4:{first.address},{second.address}", tmp_path) as stub,
        ):
            await stub.StartRun(trainer_pb2.StartRunRequest(config=small_run))
            async for event in stub.WatchRun(trainer_pb2.WatchRunRequest(name="small")):
                if event.step.step == 2:
                    two.policies = PolicyStore(two.engine.loaded)  # as it is after a start
            return (await stub.GetRun(trainer_pb2.GetRunRequest(name="small"))).run

    run = asyncio.run(scenario())
    assert run.state == trainer_pb2.RUN_STATE_SUCCEEDED, run.message
    assert two.policies.current.version == one.policies.current.version


async def finished(stub: trainer_pb2_grpc.TrainerServiceStub, config: trainer_pb2.RunConfig) -> None:
    await stub.StartRun(trainer_pb2.StartRunRequest(config=config))
    async for _ in stub.WatchRun(trainer_pb2.WatchRunRequest(name=config.name)):
        pass


def test_samples_go_to_both_replicas_at_once(tiny_bundle, small_run, tmp_path) -> None:
    meeting = Meeting(2)
    small_run.evaluation.n = 0  # a small evaluation is one call
    one, two = (Meets(Engine(load_bundle(tiny_bundle), torch.device("cpu"))) for _ in range(2))
    one.meeting = two.meeting = meeting

    async def scenario() -> trainer_pb2.Run:
        async with (
            running_server([one]) as first,
            running_server([two]) as second,
            runs_on(f"ipv4:{first.address},{second.address}", tmp_path) as stub,
        ):
            await finished(stub, small_run)
            return (await stub.GetRun(trainer_pb2.GetRunRequest(name="small"))).run

    # One after the other, the first call would wait for ever.
    run = asyncio.run(asyncio.wait_for(scenario(), 120))
    assert run.state == trainer_pb2.RUN_STATE_SUCCEEDED, run.message
    assert meeting.met.is_set()


class Meeting:
    """A place where calls wait until so many have come."""

    def __init__(self, wanted: int) -> None:
        self.wanted, self.met = wanted, asyncio.Event()


class Meets(GeneratorService):
    """A generator whose first call waits for that of another one."""

    async def Sample(self, request, context):
        if not self.meeting.met.is_set():
            self.meeting.wanted -= 1
            if self.meeting.wanted == 0:
                self.meeting.met.set()
            await self.meeting.met.wait()
        async for answer in super().Sample(request, context):
            yield answer
