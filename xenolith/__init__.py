"""Guide a generative model toward crystals that nobody has listed yet and that are likely to exist."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from xenolith.old_names import keep_old_names

if TYPE_CHECKING:
    from xenolith.client import AsyncClient, Client
    from xenolith.crystal import Crystal, CrystalBatch
    from xenolith.errors import XenolithError

__all__ = ["AsyncClient", "Client", "Crystal", "CrystalBatch", "XenolithError"]

_HOMES = {
    "AsyncClient": "xenolith.client",
    "Client": "xenolith.client",
    "Crystal": "xenolith.crystal",
    "CrystalBatch": "xenolith.crystal",
    "XenolithError": "xenolith.errors",
}
_ROOMS = frozenset(_HOMES.values())

keep_old_names({"xenolith.wire": "xenolith.contract.wire"})

if not TYPE_CHECKING:
    # Loaded where they are used: a health check every few seconds needs none of it.
    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        if f"{__name__}.{name}" in _ROOMS:
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
