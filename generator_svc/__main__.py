"""`python -m generator_svc`: serve a bundle."""

from __future__ import annotations

import argparse
import asyncio
import sys

import torch

from generator_svc.cleanup.relax import OracleRelaxer
from generator_svc.service.engine import Engine
from generator_svc.service.servicer import GeneratorService
from generator_svc.service.settings import GeneratorSettings
from generator_svc.storage.bundle import load_bundle
from xenolith import serving
from xenolith.bundle import BundleError, find_bundle
from xenolith.contract.ports import DEFAULT_PORTS
from xenolith.errors import XenolithError

__all__ = ["main"]


def main() -> int:
    """Serve until SIGTERM; 2 if the settings or the bundle are wrong."""
    parser = argparse.ArgumentParser("generator_svc", description="Serve a generator bundle over gRPC.")
    GeneratorSettings.add_options(parser, "generator")
    arguments = serving.add_arguments(parser, port=DEFAULT_PORTS["generator"]).parse_args()
    try:
        settings, server = GeneratorSettings.read(arguments), serving.settings_from(arguments)
        serving.start_logging(server, "generator")
        device = settings.torch_device
        relaxer = None
        if settings.cleanup_oracle:
            relaxer = OracleRelaxer(settings.cleanup_oracle, settings.connection())
        engine = Engine(load_bundle(find_bundle(settings.bundle), device), device, relaxer)
        asyncio.run(_serve(GeneratorService(engine), server, settings.torch_threads))
    except (XenolithError, BundleError) as error:
        sys.stderr.write(f"generator_svc: {error}\n")
        return 2
    return 0


async def _serve(service: GeneratorService, server: serving.ServingSettings, threads: int) -> None:
    # OpenMP counts threads for each thread that calls it, so the one that computes has to be told.
    await service.worker.run(torch.set_num_threads, threads)
    await serving.serve([service], server, name="generator")


if __name__ == "__main__":
    sys.exit(main())
