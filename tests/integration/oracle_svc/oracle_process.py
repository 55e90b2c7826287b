"""An oracle in a process of its own, as it is deployed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from xenolith.contract.wire import batch_to_proto
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.v1 import oracle_pb2, oracle_pb2_grpc

__all__ = ["OracleProcess", "oracle_process", "score_request"]

LIMIT_S = 600.0
_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def score_request(
    crystals: list[Crystal], components: tuple[int, ...] = (1, 2, 3, 4), **settings: Any
) -> oracle_pb2.ScoreRequest:
    return oracle_pb2.ScoreRequest(
        crystals=batch_to_proto(CrystalBatch.from_crystals(crystals)),
        components=components,
        settings=oracle_pb2.ScoreSettings(**settings),
    )


@dataclass
class OracleProcess:
    """The process, and a connection to it."""

    process: subprocess.Popen[str]
    channel: grpc.Channel
    address: str

    def score(
        self, crystals: list[Crystal], components: tuple[int, ...] = (1, 2, 3, 4), **settings: Any
    ) -> oracle_pb2.ScoreResponse:
        stub = oracle_pb2_grpc.OracleServiceStub(self.channel)
        return stub.Score(score_request(crystals, components, **settings), timeout=LIMIT_S)


@contextmanager
def oracle_process(folder: Path, *arguments: str, **environment: str) -> Iterator[OracleProcess]:
    """Run ``python -m oracle_svc`` with one worker; its log is in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "oracle_svc", "--port", "0", "--workers", "1", "--log-format", "json"]
    path = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
    with (folder / "oracle.log").open("w") as log:
        process = subprocess.Popen(
            [*command, *arguments],
            stderr=log,
            text=True,
            env={**os.environ, **environment, "PYTHONPATH": path},
        )
    try:
        address = _address(process, folder / "oracle.log")
        with grpc.insecure_channel(address, options=_UNLIMITED) as channel:
            yield OracleProcess(process, channel, address)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def _address(process: subprocess.Popen[str], log: Path) -> str:
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline:
        for line in log.read_text().splitlines():
            if '"event": "serving"' in line and line.endswith("}"):
                return str(json.loads(line)["address"])
        time.sleep(0.1)
    raise AssertionError(log.read_text()[-2000:])
