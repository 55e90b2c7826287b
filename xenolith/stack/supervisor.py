"""Starts the services, keeps them alive, stops them."""

import importlib.util
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from xenolith.client import Client
from xenolith.client.local_stack import StackRecord
from xenolith.client.transport.connection import connection_from_environment
from xenolith.contract.ports import DEFAULT_PORTS, PAGE_PORT
from xenolith.errors import InvalidArgumentError
from xenolith.optional import MissingExtraError
from xenolith.stack.hanging import HealthWatch
from xenolith.stack.ports import choose_ports
from xenolith.stack.process import ServiceProcess
from xenolith.stack.settings import SERVICES, StackSettings

__all__ = ["Stack"]

_POLL_S = 0.5
# The least that tells whether a service's extra is installed.
_LIBRARIES = {
    "generator": ("torch", "safetensors", "grpc_reflection"),
    "oracle": ("torch", "chgnet", "grpc_reflection"),
    "trainer": ("torch", "plotly", "starlette", "uvicorn", "grpc_reflection"),
}
_STABLE_S = 20.0
_MOST_RESTARTS = 8
_LONGEST_PAUSE_S = 10.0


class Stack:
    """The services of `settings` as child processes, for the length of a ``with`` block.

    A service that dies or hangs is started again on the same port, so that a run goes on. One that keeps on
    doing so is given up, and said so.

    Parameters
    ----------
    settings
        What to start; left out, all three services with their defaults.
    on_event
        Called with one line of text for each thing that the user should know; may be called from another
        thread.
    """

    def __init__(
        self,
        settings: StackSettings | None = None,
        on_event: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.settings = settings = settings or StackSettings()
        self._on_event = on_event
        # The program may change its directory while the stack runs.
        self._home = settings.home.resolve()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="xenolith-stack", daemon=True)
        _check_installed(settings)
        preferred = DEFAULT_PORTS if settings.prefer_default_ports else None
        names = tuple(name for name in SERVICES if name in settings.services)
        further = _further_generators(settings)
        self._order = (*SERVICES, *further)
        ports = choose_ports({"page": PAGE_PORT, **(preferred or {})}, (*names, *further, *_page(settings)))
        self._page_port = ports.pop("page", None)
        self.addresses = {**settings.addresses, **{name: f"127.0.0.1:{ports[name]}" for name in names}}
        if further:
            each = (f"127.0.0.1:{ports[name]}" for name in ("generator", *further))
            self.addresses["generator"] = f"ipv4:{','.join(each)}"
        self.processes = {name: self._process(name, port) for name, port in ports.items()}

    def start(self) -> None:
        """Start all services and wait until they serve.

        Raises
        ------
        StackError
            If one does not; those already started are stopped.
        """
        try:
            for process in self.processes.values():
                process.start()
            end = time.monotonic() + self.settings.startup_s
            for process in self.processes.values():
                process.wait_serving(max(1.0, end - time.monotonic()))
                self._on_event(f"{process.name} serves at {process.address}")
            if self.page:
                self._on_event(f"watch runs at {self.page}")
        except BaseException:
            self.stop()
            raise
        self._watcher.start()
        if self.settings.announced:
            self._record.write(self._home)

    def stop(self) -> None:
        """Stop all services, the trainer first; returns when none is left."""
        self._record.remove(self._home)
        self._stopping.set()
        if self._watcher.is_alive():
            self._watcher.join()
        for process in reversed(self.processes.values()):
            process.terminate()
            process.join(self.settings.grace_s + 10)

    @property
    def page(self) -> str | None:
        """Address of the trainer's live page, None where there is none."""
        if self._page_port is None:
            return None
        scheme = "https" if self._environment().get("XENOLITH_TLS_CERT") else "http"
        return f"{scheme}://127.0.0.1:{self._page_port}/"

    def client(self, **options: Any) -> Client:
        """Return a client for all services of the stack; `options` are those of `xenolith.client.Options`."""
        return Client.connect(**{**self.addresses, **connection_from_environment(), **options})

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def to_dict(self) -> dict[str, Any]:
        """Return addresses, process ids and log files, by name of service, with the trainer's page."""
        document: dict[str, Any] = {
            name: {"address": p.address, "pid": p.pid, "log": str(p.log)}
            for name, p in self.processes.items()
        }
        if self.page:
            document["trainer"]["page"] = self.page
        return document

    @property
    def _record(self) -> StackRecord:
        environment = self._environment()
        files = {
            name: str(Path(file).resolve())
            for name in ("token_file", "tls_ca", "tls_cert", "tls_key")
            if (file := environment.get(f"XENOLITH_{name.upper()}"))
        }
        own = tuple(process.address for process in self.processes.values())
        return StackRecord(pid=os.getpid(), addresses=self.addresses, listening=own, files=files)

    def _process(self, name: str, port: int) -> ServiceProcess:
        log = self._home / "logs" / f"{name}.log"
        service = name.partition("-")[0]
        module = self.settings.modules.get(service, f"{service}_svc")
        environment = self._environment()
        first = environment.get("XENOLITH_METRICS_PORT", "")
        if first.isdecimal() and int(first):
            # One port cannot serve all of them: each takes the next one.
            environment["XENOLITH_METRICS_PORT"] = str(int(first) + self._order.index(name))
        if name == "trainer" and self._page_port is not None:
            environment["XENOLITH_TRAINER_PAGE_PORT"] = str(self._page_port)
        return ServiceProcess(name=name, port=port, log=log, environment=environment, module=module)

    def _environment(self) -> dict[str, str]:
        settings = self.settings
        home = self._home
        home.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            # Two processes with many threads each are slower than with one each.
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
            "XENOLITH_HOST": "127.0.0.1",
            "XENOLITH_GRACE_S": f"{settings.grace_s:g}",
            "XENOLITH_TRAINER_RUNS": str(settings.runs.resolve()),
            "XENOLITH_ORACLE_CACHE": settings.cache or _sqlite(home),
            "XENOLITH_ORACLE_STATE": str(home / "oracle"),
            **{f"XENOLITH_{name.upper()}": address for name, address in self.addresses.items()},
            **settings.environment,
        }
        if settings.generators > 1:
            environment["XENOLITH_GENERATOR_THREADS"] = "1"
        if settings.bundle:
            environment["XENOLITH_GENERATOR_BUNDLE"] = settings.bundle
            environment["XENOLITH_ORACLE_REFERENCE"] = settings.bundle
        if settings.reference:
            environment["XENOLITH_ORACLE_REFERENCE"] = settings.reference
        return environment

    def _watch(self) -> None:
        restarts = dict.fromkeys(self.processes, 0)
        settings = self.settings
        health = {name: HealthWatch(settings.hang_s, settings.startup_s) for name in self.processes}
        while not self._stopping.wait(_POLL_S):
            for name, process in self.processes.items():
                if restarts[name] > _MOST_RESTARTS:
                    continue
                if process.exit_status() is None:
                    if not health[name].hangs(process):
                        continue
                    self._on_event(f"the {name} does not answer its health checks and is ended")
                    process.kill()
                lived = time.monotonic() - process.started
                restarts[name] = 1 if lived > _STABLE_S else restarts[name] + 1
                self._restart(process, restarts[name])

    def _restart(self, process: ServiceProcess, attempt: int) -> None:
        if attempt > _MOST_RESTARTS:
            self._on_event(f"the {process.name} keeps ending and is given up; its log is {process.log}")
            return
        self._on_event(f"the {process.name} ended with status {process.exit_status()}; starting it again")
        process.kill_children()
        if not self._stopping.wait(min(_LONGEST_PAUSE_S, 0.25 * 2 ** (attempt - 1))):
            process.start()


def _further_generators(settings: StackSettings) -> tuple[str, ...]:
    """Names of the generator's processes beyond the first.

    Raises
    ------
    InvalidArgumentError
        Their number makes no sense, or they are to have certificates.
    """
    if settings.generators < 1:
        raise InvalidArgumentError(f"generators is {settings.generators}, expected 1 or more")
    if "generator" not in settings.services or settings.generators == 1:
        return ()
    if {**os.environ, **settings.environment}.get("XENOLITH_TLS_CERT"):
        raise InvalidArgumentError("several generators cannot have TLS here: leave generators at 1")
    return tuple(f"generator-{number}" for number in range(2, settings.generators + 1))


def _page(settings: StackSettings) -> tuple[str, ...]:
    """Return the name under which a port is chosen for the page, if one is served and has no port yet."""
    served = settings.page and "trainer" in settings.services and "trainer" not in settings.modules
    chosen = {**os.environ, **settings.environment}.get("XENOLITH_TRAINER_PAGE_PORT")
    return ("page",) if served and not chosen else ()


def _check_installed(settings: StackSettings) -> None:
    """Raise, before anything is started, if the libraries of a service are not there."""
    for name in settings.services:
        if name not in settings.modules:
            missing = [library for library in _LIBRARIES[name] if not _installed(library)]
            if missing:
                raise MissingExtraError(
                    f"the {name} needs {', '.join(missing)}: pip install 'xenolith[{name}]',"
                    f" or use one that runs elsewhere: --{name} HOST:PORT"
                )


def _installed(library: str) -> bool:
    try:
        return importlib.util.find_spec(library) is not None
    except ValueError:  # there, but broken: marked so by whoever imported it first
        return False


def _sqlite(home: Path) -> str:
    return f"sqlite:///{home / 'cache.sqlite'}"
