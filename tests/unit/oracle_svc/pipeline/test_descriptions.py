"""Descriptions are recognised by their bytes, in this process and in another one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oracle_svc.cache import Cache, NoCache, open_cache
from oracle_svc.crystals.canonical import canonical_form
from oracle_svc.crystals.validity import ValidityLimits
from oracle_svc.pipeline.descriptions import Recognised, Recogniser
from oracle_svc.status import Status
from tests.unit.oracle_svc.specimens import hopeless, salt
from xenolith.crystal import Crystal, CrystalBatch

ALL = frozenset(range(1, 119))


def recogniser(cache: Cache | _Counting, **limits: float) -> Recogniser:
    return Recogniser(ValidityLimits(**limits), ALL, cache)  # type: ignore[arg-type]


def batch() -> CrystalBatch:
    wide = Crystal(lattice=salt().lattice * 1.01, numbers=salt().numbers, frac_coords=salt().frac_coords)
    return CrystalBatch.from_crystals([salt(), *hopeless().values(), wide, salt()])


def same(one: Recognised, other: Recognised) -> bool:
    forms = [known.form and (known.form.content, known.form.addresses) for known in (one, other)]
    if forms[0] != forms[1]:
        return False
    names = ("outcome", "formula", "charge_neutral", "min_distance", "density", "volume_per_atom")
    return all(getattr(one, name) == getattr(other, name) for name in names)


@pytest.mark.parametrize("use_cache", [True, False])
def test_says_what_gate_and_canonical_form_say(use_cache: bool) -> None:
    found = recogniser(NoCache()).recognise(batch(), use_cache=use_cache)
    assert [known.outcome.status is Status.OK for known in found] == [
        True,
        *[False] * len(hopeless()),
        True,
        True,
    ]
    assert found[0].form is not None and found[0].form.content == canonical_form(salt()).content
    assert found[0].formula == salt().formula
    assert same(found[0], found[-1]) and not same(found[0], found[-2])
    assert all(known.outcome.message and known.form is None for known in found[1:-2])


def test_another_process_reads_what_one_worked_out(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/cache.db"
    first = recogniser(open_cache(url)).recognise(batch())
    cache = _Counting(open_cache(url))
    again = recogniser(cache).recognise(batch())
    assert all(same(one, other) for one, other in zip(first, again, strict=True))
    assert cache.written == 0


def test_other_limits_recognise_nothing_of_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/cache.db"
    recogniser(open_cache(url)).recognise(batch())
    strict = recogniser(open_cache(url), min_distance=5.0).recognise(batch())
    assert strict[0].outcome.status is Status.TOO_CLOSE


@pytest.mark.parametrize("damage", ["torn", "foreign"])
def test_a_damaged_entry_is_worked_out_again(tmp_path: Path, damage: str) -> None:
    cache = _Counting(open_cache(f"sqlite:///{tmp_path}/cache.db"))
    one = CrystalBatch.from_crystals([salt()])
    (expected,) = recogniser(cache).recognise(one)
    (key,) = cache.keys
    other = np.array(salt().lattice) * 1.5
    foreign = Crystal(lattice=other, numbers=salt().numbers, frac_coords=salt().frac_coords)
    recogniser(cache).recognise(CrystalBatch.from_crystals([foreign]))
    values = cache.get_many(cache.keys)
    wrong = values[key][:-3] if damage == "torn" else values[cache.keys[-1]]
    assert wrong != values[key]
    cache.set_many({key: wrong})
    (found,) = recogniser(cache).recognise(one)
    assert same(found, expected)


class _Counting:
    """A real cache that notes what is written."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self.written = 0
        self.keys: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._cache, name)

    def get_many(self, keys: list[str]) -> dict[str, bytes]:
        return self._cache.get_many(keys)

    def set_many(self, items: dict[str, bytes]) -> None:
        self.written += len(items)
        self.keys += [key for key in items if key not in self.keys]
        self._cache.set_many(items)
