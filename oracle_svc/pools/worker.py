"""Main program of a worker of `worker_pool`: `python -m oracle_svc.pools.worker FD module:function`."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection

from oracle_svc.codec import decode, encode

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Build the handler, say so, then answer requests until the other end closes."""
    link = Connection(int(argv[1]))
    # The terminal's Ctrl-C goes to the whole group; the service decides when its workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Libraries print banners; standard output belongs to the service.
    os.dup2(2, 1)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        options = decode(link.recv_bytes())
        module, _, name = argv[2].partition(":")
        handle = getattr(importlib.import_module(module), name)(**options)
    except EOFError:
        return 0
    except Exception as error:  # noqa: BLE001 - the service reports it to whoever started it
        link.send_bytes(encode({"error": f"{type(error).__name__}: {error}"}))
        return 1
    link.send_bytes(encode({"ready": True}))
    while True:
        try:
            request = decode(link.recv_bytes())
        except EOFError:
            return 0
        try:
            answer = handle(request)
        except Exception as error:  # noqa: BLE001 - a failed request is an answer, the worker goes on
            answer = {"error": f"{type(error).__name__}: {error}"}
        link.send_bytes(encode(answer))


def _end_with(parent: int) -> None:
    """End when the service does, however it ended, even if a request is being computed."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
