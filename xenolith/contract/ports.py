"""Ports that the services listen on where nobody says otherwise."""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["DEFAULT_PORTS", "PAGE_PORT"]

DEFAULT_PORTS: Mapping[str, int] = MappingProxyType({"generator": 50051, "oracle": 50052, "trainer": 50053})
"""By name of the service. `Dockerfile` and `compose.yaml` repeat these numbers; a test holds them to it."""

PAGE_PORT = 50080
"""Of the trainer's live page, where it is free."""
