"""Measurements in the cache: found for every description of a crystal, and for no other crystal."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oracle_svc.cache import Cache
from oracle_svc.cache.flight import SingleFlight
from oracle_svc.codec import CodecError, decode, encode
from oracle_svc.crystals.canonical import CanonicalForm, same_crystal

__all__ = ["CrystalStore", "Kind", "Record"]

Record = dict[str, Any]
"""Named arrays and JSON values, as `codec` takes them."""

Compute = Callable[[list[int]], Iterable[Mapping[int, Record]]]
"""Computes records of some crystals, by index, in portions; one that is never yielded could not be
computed."""

_FORM_FIELDS = ("lattice", "numbers", "frac_coords", "invariants")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of measurement."""

    component: str
    """Short name, such as `energy`."""
    digest: str
    """Digest of everything that changes its values."""

    def key(self, address: str) -> str:
        """Cache key of a crystal's address."""
        return f"{self.component}:{self.digest[:24]}:{address}"


class CrystalStore:
    """Reads and writes measurements by crystal. Thread-safe."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._flight = SingleFlight(cache)

    def fetch(
        self, kinds: Sequence[Kind], forms: Mapping[int, CanonicalForm]
    ) -> dict[str, dict[int, Record]]:
        """Return the records there are, by component name and index, read in one exchange."""
        keys = [kind.key(address) for kind in kinds for form in forms.values() for address in form.addresses]
        values = self.cache.get_many(keys)
        proof = _Proof()
        return {
            kind.component: {
                index: record
                for index, form in forms.items()
                if (record := proof.first(values, kind, form)) is not None
            }
            for kind in kinds
        }

    def complete(
        self,
        kind: Kind,
        forms: Mapping[int, CanonicalForm],
        records: dict[int, Record],
        compute: Compute,
        stop: Callable[[], bool],
    ) -> set[int]:
        """Add the records that are missing; returns the indices that came from elsewhere after all.

        What another thread or process computes at this moment is waited for; the rest is computed here and
        stored as it comes, so that a cancelled call leaves behind what it finished.
        """
        keys = {index: kind.key(form.key) for index, form in forms.items() if index not in records}
        if not keys:
            return set()
        with self._flight.claim(list(keys.values())) as claim:
            mine = [index for index, key in keys.items() if key in claim.mine]
            for portion in compute(mine) if mine else ():
                claim.deliver(
                    {keys[index]: _packed(forms[index], record) for index, record in portion.items()}
                )
                records.update(portion)
            found = claim.wait(until=math.inf, cancelled=stop)
        proof = _Proof()
        theirs = [index for index, key in keys.items() if key not in claim.mine]
        arrived = {
            index: record
            for index in theirs
            if (record := proof.unpacked(found.get(keys[index]), forms[index])) is not None
        }
        records.update(arrived)
        left = [index for index in theirs if index not in arrived]
        for portion in compute(left) if left else ():
            self.cache.set_many(
                {keys[index]: _packed(forms[index], record) for index, record in portion.items()}
            )
            records.update(portion)
        return set(arrived)


class _Proof:
    """Proves that records are of the crystals asked for; records of one description are proved once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, bytes], bool] = {}

    def first(self, values: Mapping[str, bytes], kind: Kind, form: CanonicalForm) -> Record | None:
        """Record under the crystal's first address that holds one of this very crystal."""
        for address in form.addresses:
            record = self.unpacked(values.get(kind.key(address)), form)
            if record is not None:
                return record
        return None

    def unpacked(self, data: bytes | None, form: CanonicalForm) -> Record | None:
        """The record, if the bytes are whole and of this very crystal."""
        if data is None:
            return None
        try:
            record = decode(data)
            stored = {name: record.pop(f"crystal.{name}") for name in _FORM_FIELDS}
        except (CodecError, KeyError):
            return None
        content = b"".join(stored[name].tobytes() for name in _FORM_FIELDS)
        if content == form.content:
            return record
        described = id(form), content
        if described not in self._known:
            self._known[described] = same_crystal(CanonicalForm(**stored), form)
        return record if self._known[described] else None


def _packed(form: CanonicalForm, record: Record) -> bytes:
    crystal = {f"crystal.{name}": getattr(form, name) for name in _FORM_FIELDS}
    return encode({**crystal, **record})
