"""Common ground of all service processes, beside their own science.

A service's ``__main__`` is three lines of it::

    parser = add_arguments(argparse.ArgumentParser("oracle_svc"))
    settings = settings_from(parser.parse_args())
    asyncio.run(serve([OracleService(...)], settings, name="oracle"))

Servicers are plain ``grpc.aio`` ones: ``async def`` for one answer, an async generator for a stream. They
raise `xenolith.errors`, which reach the client with code, message and details, and hand computing to a
`Worker`, so that the loop stays free for health checks.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xenolith.contract.requests import check_score_request, check_settings_digest
    from xenolith.serving.app import RunningServer, running_server, serve
    from xenolith.serving.calls.interceptors import request_id, run_id
    from xenolith.serving.cores import usable_cores
    from xenolith.serving.hops import HopSettings
    from xenolith.serving.settings import (
        ProcessSettings,
        ServingSettings,
        StackVariable,
        add_arguments,
        settings_from,
        start_logging,
    )
    from xenolith.serving.streams import score_stream
    from xenolith.serving.threaded import threaded_server
    from xenolith.serving.worker import Stop, Worker

__all__ = [
    "HopSettings",
    "ProcessSettings",
    "RunningServer",
    "ServingSettings",
    "StackVariable",
    "Stop",
    "Worker",
    "add_arguments",
    "check_score_request",
    "check_settings_digest",
    "request_id",
    "run_id",
    "running_server",
    "score_stream",
    "serve",
    "settings_from",
    "start_logging",
    "threaded_server",
    "usable_cores",
]

_HOMES = {
    "HopSettings": "xenolith.serving.hops",
    "ProcessSettings": "xenolith.serving.settings",
    "RunningServer": "xenolith.serving.app",
    "ServingSettings": "xenolith.serving.settings",
    "StackVariable": "xenolith.serving.settings",
    "Stop": "xenolith.serving.worker",
    "Worker": "xenolith.serving.worker",
    "add_arguments": "xenolith.serving.settings",
    "check_score_request": "xenolith.contract.requests",
    "check_settings_digest": "xenolith.contract.requests",
    "request_id": "xenolith.serving.calls.interceptors",
    "run_id": "xenolith.serving.calls.interceptors",
    "running_server": "xenolith.serving.app",
    "score_stream": "xenolith.serving.streams",
    "serve": "xenolith.serving.app",
    "settings_from": "xenolith.serving.settings",
    "start_logging": "xenolith.serving.settings",
    "threaded_server": "xenolith.serving.threaded",
    "usable_cores": "xenolith.serving.cores",
}

if not TYPE_CHECKING:
    # Loaded where they are used: a health check every few seconds needs none of it.
    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
