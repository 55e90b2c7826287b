"""A real generator on a tiny bundle, a real oracle that measures geometry, and a trainer between them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc
import pytest
import torch

from generator_svc.service.engine import Engine
from generator_svc.service.servicer import GeneratorService
from generator_svc.storage.bundle import load_bundle
from tests.integration.trainer_svc.geometry_oracle import GeometryOracle
from trainer_svc.service import TrainerService
from trainer_svc.services.remote import Services
from trainer_svc.training.manager import RunManager
from xenolith.bundle import Bundle
from xenolith.serving import RunningServer, Worker, running_server
from xenolith.v1 import trainer_pb2, trainer_pb2_grpc

T = TypeVar("T")
Stub = trainer_pb2_grpc.TrainerServiceStub


@dataclass
class Lab:
    """Three running services."""

    stub: Stub
    manager: RunManager
    generator: GeneratorService
    oracle: GeometryOracle
    runs: Path

    async def watch(self, name: str, after: int = 0) -> list[trainer_pb2.WatchRunResponse]:
        request = trainer_pb2.WatchRunRequest(name=name, after_sequence=after)
        return [event async for event in self.stub.WatchRun(request)]

    async def run(self, config: trainer_pb2.RunConfig) -> trainer_pb2.Run:
        await self.stub.StartRun(trainer_pb2.StartRunRequest(config=config))
        await self.watch(config.name)
        return (await self.stub.GetRun(trainer_pb2.GetRunRequest(name=config.name))).run

    async def until_step(self, name: str, step: int) -> None:
        async for event in self.stub.WatchRun(trainer_pb2.WatchRunRequest(name=name)):
            if event.step.step == step:
                return
        raise AssertionError(f"run {name} ended before step {step}")


@asynccontextmanager
async def trainer(runs: Path, generator: RunningServer, oracle: RunningServer) -> AsyncIterator[RunManager]:
    worker = Worker("trainer")
    await worker.run(torch.set_num_threads, 1)
    services = Services(generator=generator.address, oracle=oracle.address)
    manager = RunManager(runs, services, worker)
    try:
        yield manager
    finally:
        await manager.close()
        worker.close()


@pytest.fixture
def lab(tiny_bundle: Bundle, tmp_path: Path) -> Callable[..., T]:
    """Run a coroutine function in a fresh lab; ``runs`` continues an earlier one's directory."""

    def run(scenario: Callable[[Lab], Awaitable[T]], runs: Path = tmp_path / "runs") -> T:
        async def main() -> T:
            generator = GeneratorService(Engine(load_bundle(tiny_bundle), torch.device("cpu")))
            oracle = GeometryOracle()
            async with (
                running_server([generator]) as first,
                running_server([oracle]) as second,
                trainer(runs, first, second) as manager,
                running_server([TrainerService(manager)]) as third,
                grpc.aio.insecure_channel(third.address) as channel,
            ):
                return await scenario(Lab(Stub(channel), manager, generator, oracle, runs))

        return asyncio.run(main())

    return run


@pytest.fixture
def small_run() -> trainer_pb2.RunConfig:
    """A run of seconds."""
    return trainer_pb2.RunConfig(
        name="small",
        seed=3,
        steps=4,
        groups=2,
        group_size=6,
        sampler={"steps": 5, "eta": 1.0},
        optimizer={"learning_rate": 1e-3, "passes": 2, "kl_weight": 0.01},
        evaluation={"n": 20, "bootstrap": 200},
    )
