"""The oracle process: `python -m oracle_svc --reference bundles/mp20-small/reference`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from oracle_svc.pools.worker_pool import WorkerError
from oracle_svc.service.settings import OracleSettings
from oracle_svc.service.startup import open_service
from xenolith.contract.ports import DEFAULT_PORTS
from xenolith.errors import XenolithError
from xenolith.serving import add_arguments, serve, settings_from, start_logging

__all__ = ["main"]

_WAITING = ("/xenolith.v1.OracleService/WaitOperation",)
"""Calls that only wait, and take nobody's place."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop; returns the exit code."""
    parser = argparse.ArgumentParser("oracle_svc", description="Measures crystals over gRPC.")
    OracleSettings.add_options(parser, "oracle")
    arguments = add_arguments(parser, port=DEFAULT_PORTS["oracle"]).parse_args(argv)
    try:
        serving, settings = settings_from(arguments), OracleSettings.read(arguments)
        start_logging(serving, "oracle")
        service = open_service(settings)
    except (XenolithError, WorkerError, ValueError) as error:
        print(f"oracle_svc: {error}", file=sys.stderr)  # noqa: T201  # before there is anyone to log for
        return 2
    try:
        asyncio.run(serve([service], serving, name="oracle", unlimited=_WAITING, on_stop=service.drain))
    except XenolithError as error:
        print(f"oracle_svc: {error}", file=sys.stderr)  # noqa: T201
        return 2
    finally:
        service.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
