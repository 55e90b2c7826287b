"""Validity and canonical form of a description (the numbers as sent) of a crystal, worked out once.

A run sends the same bytes again and again, from the same process or another. Their digest finds what was
worked out before, first in this process, then in the cache; what was never seen is worked out and kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from oracle_svc.cache import Cache
from oracle_svc.cache.memory import Memory
from oracle_svc.calculators.base import digest_of
from oracle_svc.codec import CodecError, decode, encode
from oracle_svc.crystals.canonical import CanonicalForm, canonical_form
from oracle_svc.crystals.charge import charge_neutral
from oracle_svc.crystals.neighbors import SearchTooLargeError
from oracle_svc.crystals.validity import ValidityLimits, check_validity
from oracle_svc.status import Outcome, Status
from xenolith.crystal import CrystalBatch

__all__ = ["Recognised", "Recogniser"]

_KEPT = 16_384
_VERSION = 1
_FORM_FIELDS = ("lattice", "numbers", "frac_coords", "invariants")


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """Validity, geometry and canonical form of one description."""

    outcome: Outcome
    """Of the validity gate."""
    formula: str
    """Reduced formula; empty where the structure is too large to look at."""
    charge_neutral: bool | None
    min_distance: float | None
    """Angstrom."""
    density: float | None
    """g/cm^3."""
    volume_per_atom: float | None
    """Angstrom^3."""
    form: CanonicalForm | None
    """None unless valid."""


class Recogniser:
    """Tells which crystal a description is of. Thread-safe.

    Parameters
    ----------
    limits
        Limits of the validity gate.
    elements
        Atomic numbers that the calculator covers.
    cache
        Where descriptions are kept beyond this process.
    """

    def __init__(self, limits: ValidityLimits, elements: frozenset[int], cache: Cache) -> None:
        self._limits = limits
        self._elements = elements
        self._cache = cache
        settings = {"version": _VERSION, "limits": vars(limits), "elements": sorted(elements)}
        self._prefix = f"seen:{digest_of(settings)[:24]}:"
        self._seen: Memory[str, Recognised] = Memory(_KEPT)

    def recognise(self, batch: CrystalBatch, *, use_cache: bool = True) -> list[Recognised]:
        """Return validity, geometry and canonical form of each structure; none raises."""
        if not use_cache:
            return self._work_out(batch, range(len(batch)))
        names = _digests(batch)
        found = {name: known for name in set(names) if (known := self._seen.get(name)) is not None}
        unknown = [row for row, name in enumerate(names) if name not in found]
        if unknown:
            values = self._cache.get_many([self._prefix + names[row] for row in unknown])
            read = {
                names[row]: _unpacked(values.get(self._prefix + names[row]), names[row]) for row in unknown
            }
            fresh = {name: known for name, known in read.items() if known is not None}
            new = list({names[row]: row for row in unknown if names[row] not in fresh}.values())
            made = dict(zip([names[row] for row in new], self._work_out(batch, new), strict=True))
            self._cache.set_many({self._prefix + name: _packed(known, name) for name, known in made.items()})
            found |= fresh | made
            for name, known in (fresh | made).items():
                self._seen.put(name, known)
        return [found[name] for name in names]

    def _work_out(self, batch: CrystalBatch, rows: Sequence[int]) -> list[Recognised]:
        part = batch if len(rows) == len(batch) else batch.take(list(rows))
        report = check_validity(part, self._limits, self._elements)
        made = []
        for index, crystal in enumerate(part):
            status = report.statuses[index]
            known = Recognised(
                outcome=Outcome(status=status, message=report.messages[index]),
                formula="" if status is Status.TOO_LARGE else crystal.formula,
                charge_neutral=charge_neutral(crystal.numbers) if status is Status.OK else None,
                min_distance=_finite(report.min_distance[index]),
                density=_finite(report.density[index]),
                volume_per_atom=_finite(report.volume_per_atom[index]),
                form=None,
            )
            if status is Status.OK:
                try:
                    known = replace(known, form=canonical_form(crystal))
                except SearchTooLargeError as error:
                    known = replace(known, outcome=Outcome(status=Status.BAD_CELL, message=str(error)))
            made.append(known)
        return made


def _digests(batch: CrystalBatch) -> list[str]:
    """A name for the exact numbers of each structure."""
    lattices = np.ascontiguousarray(batch.lattices, dtype="<f8")
    numbers = np.ascontiguousarray(batch.numbers, dtype="<i4")
    coordinates = np.ascontiguousarray(batch.frac_coords, dtype="<f8")
    offsets = batch.offsets.tolist()
    names = []
    for index, (begin, end) in enumerate(pairwise(offsets)):
        digest = hashlib.blake2b(lattices[index].tobytes(), digest_size=16)
        digest.update(numbers[begin:end].tobytes())
        digest.update(coordinates[begin:end].tobytes())
        names.append(digest.hexdigest())
    return names


def _packed(known: Recognised, name: str) -> bytes:
    record: dict[str, Any] = {
        "name": name,
        "status": int(known.outcome.status),
        "message": known.outcome.message,
        "formula": known.formula,
        "charge_neutral": known.charge_neutral,
        "min_distance": known.min_distance,
        "density": known.density,
        "volume_per_atom": known.volume_per_atom,
    }
    if known.form is not None:
        record |= {f"form.{field}": getattr(known.form, field) for field in _FORM_FIELDS}
        record["addresses"] = list(known.form.addresses)
    return encode(record)


def _unpacked(data: bytes | None, name: str) -> Recognised | None:
    """Read what was kept under this name; None if it is damaged or of another description."""
    if data is None:
        return None
    try:
        record = decode(data)
        if record["name"] != name:
            return None
        status = Status(record["status"])
        form = None
        if status is Status.OK:
            form = CanonicalForm(**{field: record[f"form.{field}"] for field in _FORM_FIELDS})
            form.__dict__["addresses"] = tuple(record["addresses"])  # the cached property
        return Recognised(
            outcome=Outcome(status=status, message=record["message"]),
            form=form,
            **{
                field: record[field]
                for field in ("formula", "charge_neutral", "min_distance", "density", "volume_per_atom")
            },
        )
    except (CodecError, KeyError, ValueError):
        return None


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
