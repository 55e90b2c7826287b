"""The services in processes of their own, with tokens, and how much memory they take."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from xenolith.serving.healthcheck import check
from xenolith.stack.ports import choose_ports

__all__ = ["Service", "serving", "tokens_file"]

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Service:
    """A process that serves."""

    address: str
    pid: int

    def forget_peak(self) -> None:
        """Let the peak of its memory begin now."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def memory_mb(self, *, peak: bool = False) -> float:
        """Memory of the process without its workers, MiB: now, or at most since `forget_peak`."""
        name = "VmHWM:" if peak else "VmRSS:"
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def tokens_file(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Write tokens for callers who may do everything; return them by name."""
    tokens = {name: f"{name}-{os.urandom(16).hex()}" for name in names}
    (folder / "tokens.toml").write_text(
        "".join(f'[{name}]\ntoken = "{token}"\nroles = ["admin"]\n' for name, token in tokens.items())
    )
    return tokens


@contextmanager
def serving(module: str, folder: Path, *options: str) -> Iterator[Service]:
    """Run `python -m module` until the block ends; its log is in the folder."""
    port = choose_ports(None, ("oracle",))["oracle"]
    command = [sys.executable, "-m", module, "--port", str(port), *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with (folder / f"{module}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
    address = f"127.0.0.1:{port}"
    try:
        until = time.monotonic() + 300
        while check(address, timeout_s=2.0) != "SERVING":
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{module} does not serve: see {folder}/{module}.log")
            time.sleep(0.5)
        yield Service(address=address, pid=process.pid)
    finally:
        process.terminate()
        process.wait(60)
