"""Hulls of chemical systems: made when first needed, kept, shared with other replicas through the cache."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from oracle_svc.cache.base import Cache
from oracle_svc.codec import CodecError, decode, encode
from oracle_svc.known.hull.entries import System
from oracle_svc.known.hull.surface import Surface

__all__ = ["Diagrams", "SharedDiagrams"]

_SYSTEMS_KEPT = 4096
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class SharedDiagrams:
    """Where replicas find each other's hulls."""

    cache: Cache
    digest: str
    """Digest of the entries: replicas of other entries share nothing."""

    def key(self, system: System) -> str:
        """Cache key of a system."""
        return f"hull{_FORMAT}:{self.digest[:24]}:{'-'.join(map(str, system))}"

    def read(self, systems: Iterable[System]) -> dict[System, Surface]:
        """The hulls that are there and whole, in one exchange."""
        keys = {self.key(system): system for system in systems}
        found = {}
        for key, data in self.cache.get_many(list(keys)).items():
            try:
                record = decode(data)
                if record.pop("key") == key:  # else it is whole, and another system's
                    found[keys[key]] = Surface.from_record(record, len(keys[key]))
            except (CodecError, KeyError, ValueError):
                continue  # damaged, or of another version: it is made again
        return found

    def write(self, surfaces: dict[System, Surface]) -> None:
        """Store hulls, in one exchange."""
        records = {self.key(system): surface.to_record() for system, surface in surfaces.items()}
        self.cache.set_many({key: encode({"key": key, **record}) for key, record in records.items()})


class Diagrams:
    """Bounded memory of hulls by system. Thread-safe.

    Parameters
    ----------
    make
        Computes the hull of a system.
    kept
        Most systems in memory; those not used for longest are forgotten.
    """

    def __init__(self, make: Callable[[System], Surface], *, kept: int = _SYSTEMS_KEPT) -> None:
        self._make = make
        self._kept = kept
        self._surfaces: OrderedDict[System, Surface] = OrderedDict()
        self._lock = Lock()
        self.shared: SharedDiagrams | None = None
        self.made = 0
        """How many were computed here."""

    def __len__(self) -> int:
        return len(self._surfaces)

    def get_many(self, systems: Iterable[System]) -> dict[System, Surface]:
        """Hulls of systems: from memory, from the cache, or computed now."""
        wanted = list(dict.fromkeys(systems))
        with self._lock:
            found = {system: self._surfaces[system] for system in wanted if system in self._surfaces}
            for system in found:
                self._surfaces.move_to_end(system)
        missing = [system for system in wanted if system not in found]
        if missing:
            # Outside the lock: two threads may make the same hull, none waits for another's.
            fresh = self._fetch(missing)
            found |= fresh
            with self._lock:
                self._surfaces.update(fresh)
                while len(self._surfaces) > self._kept:
                    self._surfaces.popitem(last=False)
        return found

    def get(self, system: System) -> Surface:
        """The hull of one system."""
        return self.get_many([system])[system]

    def _fetch(self, systems: list[System]) -> dict[System, Surface]:
        compounds = [system for system in systems if len(system) > 1]
        found = self.shared.read(compounds) if self.shared and compounds else {}
        made = {system: self._make(system) for system in systems if system not in found}
        self.made += len(made)
        worth_sharing = {s: surface for s, surface in made.items() if len(s) > 1}
        if self.shared and worth_sharing:
            self.shared.write(worth_sharing)
        return found | made


def fractions_of(numbers: NDArray[np.integer]) -> tuple[System, NDArray[np.float64]]:
    """System of atoms (N,), N >= 1, and the atomic fraction (d,) of each of its elements."""
    elements, counts = np.unique(numbers, return_counts=True)
    return tuple(elements.tolist()), counts / counts.sum()
