"""Health of the services that a trainer works with, asked at most every few seconds."""

import asyncio
import time
from pathlib import Path
from typing import Any

from trainer_svc.services.remote import Services
from xenolith.serving.healthcheck import check

__all__ = ["ServicesHealth"]

_FRESH_S = 5.0


class ServicesHealth:
    """Health checks of generator and oracle, shared by all who look at the page.

    Parameters
    ----------
    services
        Where they are, and how they are reached.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = asyncio.Lock()
        self._asked = -_FRESH_S
        self._found: list[dict[str, Any]] = []

    async def document(self) -> list[dict[str, Any]]:
        """Return name, address and health of each service; the trainer's own is that it answers."""
        async with self._lock:
            if time.monotonic() - self._asked >= _FRESH_S:
                addresses = {"generator": self._services.generator, "oracle": self._services.oracle}
                found = await asyncio.gather(*(self._ask(*item) for item in addresses.items()))
                self._found = [*found, {"name": "trainer", "address": "", "health": "SERVING"}]
                self._asked = time.monotonic()
            return self._found

    async def _ask(self, name: str, address: str) -> dict[str, Any]:
        options = self._services.options
        authority, certificate, key = (
            Path(file) if file else None for file in (options.tls_ca, options.tls_cert, options.tls_key)
        )
        health = await asyncio.to_thread(
            check, address, timeout_s=4.0, authority=authority, certificate=certificate, key=key
        )
        return {"name": name, "address": address, "health": health[:300]}
