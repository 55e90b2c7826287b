"""`python -m trainer_svc`: serve runs."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

import torch

from trainer_svc.service import TrainerService
from trainer_svc.services.remote import Services
from trainer_svc.training.manager import RunManager
from xenolith import serving
from xenolith.client import Options
from xenolith.errors import XenolithError

_PREFIX = "XENOLITH_TRAINER_"
_SHARED = {"generator": "XENOLITH_GENERATOR", "oracle": "XENOLITH_ORACLE"}
"""Variables of the whole stack, read where the trainer's own are not set."""
_STREAMS = ("/xenolith.v1.TrainerService/WatchRun", "/xenolith.v1.TrainerService/Evaluate")


def main() -> int:
    """Serve until SIGTERM; 2 if the settings are wrong."""
    parser = argparse.ArgumentParser("trainer_svc", description="Run and evaluate policies over gRPC.")
    _add_arguments(parser)
    serving.add_arguments(parser, port=50053)
    arguments = parser.parse_args()
    try:
        settings = serving.settings_from(arguments)
        asyncio.run(_serve(arguments, settings))
    except XenolithError as error:
        print(f"trainer_svc: {error}", file=sys.stderr)  # noqa: T201  # the terminal is the interface here
        return 2
    return 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the trainer's own; each default is read from XENOLITH_TRAINER_<NAME> first."""
    options = {
        "generator": ("127.0.0.1:50051", "host:port of the generator"),
        "oracle": ("127.0.0.1:50052", "host:port of the oracle"),
        "runs": ("runs", "directory of all runs"),
        "threads": (
            str(os.cpu_count() or 1),
            "torch threads of the update; part of what makes runs repeat bit by bit",
        ),
        "services-token-file": ("", "file with the bearer token for generator and oracle"),
        "services-tls-ca": ("", "authority (PEM) to trust; connect to both over TLS"),
    }
    for name, (default, text) in options.items():
        variable = _PREFIX + name.upper().replace("-", "_")
        shared = os.environ.get(_SHARED.get(name, ""), default)
        parser.add_argument(f"--{name}", default=os.environ.get(variable, shared), help=text)


def _options(arguments: argparse.Namespace) -> Options:
    token_file = arguments.services_token_file
    return Options(
        token=Path(token_file).read_text().strip() if token_file else None,
        tls_ca=arguments.services_tls_ca or None,
    )


async def _serve(arguments: argparse.Namespace, settings: serving.ServingSettings) -> None:
    worker = serving.Worker("trainer")
    # In the thread that computes: torch keeps the number per thread that asks.
    await worker.run(torch.set_num_threads, int(arguments.threads))
    services = Services(generator=arguments.generator, oracle=arguments.oracle, options=_options(arguments))
    manager = RunManager(Path(arguments.runs), services, worker)
    await serving.serve(
        [TrainerService(manager)], settings, name="trainer", unlimited=_STREAMS, on_stop=manager.close
    )


if __name__ == "__main__":
    sys.exit(main())
