"""`python -m trainer_svc`: serve runs."""

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
import torch

from trainer_svc.config.limits import RunLimits
from trainer_svc.page.server import running_page
from trainer_svc.service import TrainerService
from trainer_svc.services.remote import Services
from trainer_svc.settings import TrainerSettings
from trainer_svc.training.manager import RunManager
from xenolith import serving
from xenolith.client import Options
from xenolith.contract.ports import DEFAULT_PORTS
from xenolith.errors import XenolithError

__all__ = ["main"]

log = structlog.get_logger(__name__)

_STREAMS = ("/xenolith.v1.TrainerService/WatchRun", "/xenolith.v1.TrainerService/Evaluate")


def main() -> int:
    """Serve until SIGTERM; 2 if the settings are wrong."""
    parser = argparse.ArgumentParser("trainer_svc", description="Run and evaluate policies over gRPC.")
    TrainerSettings.add_options(parser, "trainer")
    arguments = serving.add_arguments(parser, port=DEFAULT_PORTS["trainer"]).parse_args()
    try:
        settings, server = TrainerSettings.read(arguments), serving.settings_from(arguments)
        serving.start_logging(server, "trainer")
        asyncio.run(_serve(settings, server))
    except XenolithError as error:
        print(f"trainer_svc: {error}", file=sys.stderr)  # noqa: T201  # the terminal is the interface here
        return 2
    return 0


def _options(settings: TrainerSettings) -> Options:
    return Options(**settings.connection())


def _limits(settings: TrainerSettings) -> RunLimits:
    return RunLimits(
        steps=settings.max_run_steps, samples=settings.max_run_samples, bootstrap=settings.max_bootstrap
    )


async def _serve(settings: TrainerSettings, server: serving.ServingSettings) -> None:
    worker = serving.Worker("trainer")
    # In the thread that computes: torch keeps the number per thread that asks.
    await worker.run(torch.set_num_threads, settings.threads)
    services = Services(generator=settings.generator, oracle=settings.oracle, options=_options(settings))
    manager = RunManager(
        Path(settings.runs),
        services,
        worker,
        max_queued=settings.max_queued_runs,
        reserve_bytes=int(settings.disk_reserve_mb * 2**20),
    )
    async with AsyncExitStack() as beside:

        async def on_start(_running: serving.RunningServer) -> None:
            if settings.page_port is not None:
                page = running_page(manager, server, port=settings.page_port, host=settings.page_host)
                log.info("page", address=await beside.enter_async_context(page))

        await serving.serve(
            [TrainerService(manager, _limits(settings))],
            server,
            name="trainer",
            unlimited=_STREAMS,
            on_start=on_start,
            on_stop=manager.close,
        )


if __name__ == "__main__":
    sys.exit(main())
