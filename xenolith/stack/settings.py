"""Settings of an embedded stack: its services and their options."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xenolith.client.local_stack import default_folder

__all__ = ["SERVICES", "StackSettings"]

SERVICES = ("generator", "oracle", "trainer")
"""Names of the services, in the order in which they are started and named to the user."""


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """An embedded stack."""

    services: tuple[str, ...] = SERVICES
    """Which services to start."""
    generators: int = 1
    """Processes of the generator, one thread each if there are several; the trainer spreads its samples over
    them. Not with TLS: they have one address together, which no certificate holds."""
    bundle: str = ""
    """Name or folder of the bundle; empty: the services' default."""
    reference: str = ""
    """Folders of the oracle's references, comma-separated; empty: that of the bundle."""
    runs: Path = Path("runs")
    """Folder of the trainer's runs."""
    home: Path = field(default_factory=default_folder)
    """Folder for logs, the oracle's cache, and the record by which ``Client()`` finds the stack."""
    cache: str = ""
    """Cache of the oracle (``redis://...``, a file, ``none``); empty: a file in `home`."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """Python modules to run as services instead of ``<name>_svc``, such as an oracle of your own."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Services that already run elsewhere: the trainer calls these instead of embedded ones."""
    prefer_default_ports: bool = False
    """Take the usual ports where they are free; else any free ones."""
    page: bool = False
    """Have the trainer serve its live page on this machine."""
    announced: bool = True
    """Write that record while the stack serves."""
    startup_s: float = 300.0
    """Seconds that a service gets until it serves: the first start of a fresh installation compiles much."""
    hang_s: float = 60.0
    """Seconds of missed health checks after which a service is ended and started again; 0: never."""
    grace_s: float = 15.0
    """Seconds that calls in flight get when the stack stops."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Further environment variables of the services."""
