"""Handlers of real worker processes that misbehave on demand."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

Handler = Callable[[dict[str, Any]], dict[str, Any]]


def build(prefix: str = "") -> Handler:
    def handle(request: dict[str, Any]) -> dict[str, Any]:
        if request.get("say"):
            print(request["say"], flush=True)  # noqa: T201  # as a library's banner
            sys.stderr.write("and more\n" * 50_000)
        if request.get("die"):
            os.kill(os.getpid(), signal.SIGKILL)
        if request.get("hang"):
            time.sleep(3600)
        if request.get("raise"):
            raise ValueError("not today")
        return {"echo": prefix + str(request.get("text", "")), "pid": os.getpid(), **_threads()}

    return handle


def broken() -> Handler:
    raise RuntimeError("no weights")


def _threads() -> dict[str, Any]:
    return {"threads": os.environ["OMP_NUM_THREADS"]}
