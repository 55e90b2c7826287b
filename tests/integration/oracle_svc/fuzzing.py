"""Structures and messages that nobody should send, and some that anybody may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from xenolith.crystal import Crystal
from xenolith.v1 import oracle_pb2

__all__ = ["KINDS", "Fuzzed", "fuzzed_messages", "fuzzed_structures"]

Kind = Callable[[Crystal, np.random.Generator], Crystal]


@dataclass(frozen=True, kw_only=True)
class Fuzzed:
    """A structure to send."""

    crystal: Crystal
    kind: str
    good: int | None = None
    """Index of the good crystal that this is a description of; None for structures that may be anything."""


def _with(
    crystal: Crystal,
    lattice: np.ndarray | None = None,
    numbers: np.ndarray | None = None,
    frac: np.ndarray | None = None,
) -> Crystal:
    return Crystal(
        lattice=crystal.lattice if lattice is None else lattice,
        numbers=crystal.numbers if numbers is None else numbers,
        frac_coords=crystal.frac_coords if frac is None else frac,
    )


def _poisoned(values: tuple[float, ...]) -> Kind:
    def kind(good: Crystal, rng: np.random.Generator) -> Crystal:
        lattice, frac = good.lattice.copy(), good.frac_coords.copy()
        target = lattice if rng.random() < 0.5 else frac
        for _ in range(int(rng.integers(1, 4))):
            target[rng.integers(len(target)), rng.integers(3)] = rng.choice(values)
        return _with(good, lattice=lattice, frac=frac)

    return kind


def _scaled(good: Crystal, rng: np.random.Generator) -> Crystal:
    return _with(good, lattice=good.lattice * 10.0 ** rng.uniform(-300, 300))


def _anisotropic(good: Crystal, rng: np.random.Generator) -> Crystal:
    return _with(good, lattice=good.lattice * 10.0 ** rng.uniform(-8, 8, size=(3, 1)))


def _singular(good: Crystal, rng: np.random.Generator) -> Crystal:
    lattice = good.lattice.copy()
    lattice[2] = rng.integers(-3, 4) * lattice[0] + rng.integers(-3, 4) * lattice[1]
    if rng.random() < 0.5:
        lattice[2] += rng.normal(size=3) * 10.0 ** rng.uniform(-16, -2)
    return _with(good, lattice=lattice)


def _zeroed(good: Crystal, rng: np.random.Generator) -> Crystal:
    lattice = good.lattice.copy()
    lattice[: rng.integers(1, 4)] = 0.0
    return _with(good, lattice=lattice)


def _very_skewed(good: Crystal, rng: np.random.Generator) -> Crystal:
    change = np.eye(3)
    for _ in range(6):
        i, j = rng.choice(3, 2, replace=False)
        change[i] += rng.integers(-50, 51) * change[j]
    return _with(good, lattice=change @ good.lattice, frac=good.frac_coords @ np.linalg.inv(change))


def _overlapping(good: Crystal, rng: np.random.Generator) -> Crystal:
    frac = good.frac_coords.copy()
    i, j = rng.choice(len(frac), 2, replace=False)
    frac[i] = frac[j] + rng.normal(size=3) * 10.0 ** rng.uniform(-12, -2)
    return _with(good, frac=frac)


def _collapsed(good: Crystal, rng: np.random.Generator) -> Crystal:
    return _with(good, frac=np.zeros_like(good.frac_coords) + rng.random(3))


def _foreign(good: Crystal, rng: np.random.Generator) -> Crystal:
    numbers = good.numbers.copy()
    numbers[rng.integers(len(numbers))] = rng.choice([0, -1, 97, 104, 118, 119, 1000, 2**31 - 1, -(2**31)])
    return _with(good, numbers=numbers)


def _empty(good: Crystal, _rng: np.random.Generator) -> Crystal:
    return _with(good, numbers=np.zeros(0, np.int32), frac=np.zeros((0, 3)))


def _large(good: Crystal, rng: np.random.Generator) -> Crystal:
    atoms = int(rng.integers(201, 5000))
    edge = np.cbrt(atoms * rng.uniform(1.0, 30.0))
    return Crystal(
        lattice=np.eye(3) * edge, numbers=rng.choice(good.numbers, atoms), frac_coords=rng.random((atoms, 3))
    )


def _gas(_good: Crystal, rng: np.random.Generator) -> Crystal:
    atoms = int(rng.integers(1, 40))
    lattice = rng.normal(size=(3, 3))
    lattice *= np.cbrt(atoms * 10.0 ** rng.uniform(-1, 3) / max(1e-12, abs(np.linalg.det(lattice))))
    return Crystal(
        lattice=lattice, numbers=rng.integers(1, 95, size=atoms), frac_coords=rng.random((atoms, 3))
    )


def _crowd(_good: Crystal, rng: np.random.Generator) -> Crystal:
    """As dense as the gate lets through, with atoms kept apart on a grid."""
    edge = int(rng.choice([2, 3, 4], p=[0.7, 0.25, 0.05]))
    sites = np.array(list(np.ndindex(edge, edge, edge))) / edge
    return Crystal(
        lattice=np.eye(3) * edge * rng.uniform(0.6, 1.3),
        numbers=np.full(len(sites), rng.choice([1, 3, 6, 14])),
        frac_coords=sites + rng.normal(size=sites.shape) * 0.01,
    )


def _noise(_good: Crystal, rng: np.random.Generator) -> Crystal:
    """Any bits at all."""
    atoms = int(rng.integers(0, 9))
    lattice = np.frombuffer(rng.bytes(72), dtype="<f8").reshape(3, 3)
    frac = np.frombuffer(rng.bytes(24 * atoms), dtype="<f8").reshape(-1, 3)
    return Crystal(
        lattice=lattice, numbers=np.frombuffer(rng.bytes(4 * atoms), dtype="<i4"), frac_coords=frac
    )


def _far(good: Crystal, rng: np.random.Generator) -> Crystal:
    return _with(good, frac=good.frac_coords + 10.0 ** rng.uniform(5, 300))


KINDS: dict[str, Kind] = {
    "nan": _poisoned((np.nan,)),
    "infinite": _poisoned((np.inf, -np.inf)),
    "huge": _poisoned((1e300, -1e308, 1e18, 1.7976931348623157e308)),
    "denormal": _poisoned((5e-324, -5e-324, 1e-310)),
    "scaled": _scaled,
    "anisotropic": _anisotropic,
    "singular": _singular,
    "zeroed": _zeroed,
    "very skewed": _very_skewed,
    "overlapping": _overlapping,
    "collapsed": _collapsed,
    "foreign": _foreign,
    "empty": _empty,
    "large": _large,
    "gas": _gas,
    "crowd": _crowd,
    "noise": _noise,
    "far": _far,
}


def fuzzed_structures(
    good: list[Crystal], count: int, rng: np.random.Generator, *, good_share: float = 0.15
) -> Iterator[Fuzzed]:
    """Structures of all kinds, good ones between them, in a random order."""
    kinds = list(KINDS)
    # A crowd takes a calculator seconds, the others milliseconds.
    weights = np.array([0.2 if kind == "crowd" else 1.0 for kind in kinds])
    weights /= weights.sum()
    for _ in range(count):
        index = int(rng.integers(len(good)))
        if rng.random() < good_share:
            yield Fuzzed(crystal=_described(good[index], rng), kind="good", good=index)
            continue
        kind = kinds[int(rng.choice(len(kinds), p=weights))]
        yield Fuzzed(crystal=KINDS[kind](good[index], rng), kind=kind)


def _described(good: Crystal, rng: np.random.Generator) -> Crystal:
    """The crystal left-handed or right-handed, shifted, with its atoms in any order and any cell."""
    order = rng.permutation(good.num_atoms)
    frac = (good.frac_coords + rng.random(3))[order] + rng.integers(-1000, 1000, size=(good.num_atoms, 3))
    return Crystal(
        lattice=good.lattice * rng.choice([-1.0, 1.0]), numbers=good.numbers[order], frac_coords=frac
    )


def fuzzed_messages(good: oracle_pb2.ScoreRequest, count: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Random bytes, valid requests mutated, wrong lengths, counts beyond all measure."""
    valid = good.SerializeToString()
    for index in range(count):
        yield (_random, _mutated, _wrong_columns, _wrong_varint, _nested)[index % 5](good, valid, rng)


def _random(_good: oracle_pb2.ScoreRequest, _valid: bytes, rng: np.random.Generator) -> bytes:
    return rng.bytes(int(rng.integers(0, 3000)))


def _mutated(_good: oracle_pb2.ScoreRequest, valid: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(valid)
    for _ in range(int(rng.integers(1, 6))):
        place = int(rng.integers(len(data)))
        action = int(rng.integers(4))
        if action == 0:
            data[place] = int(rng.integers(256))
        elif action == 1:
            data[place] ^= 1 << int(rng.integers(8))
        elif action == 2:
            del data[place : place + int(rng.integers(1, 9))]
        else:
            data[place:place] = rng.bytes(int(rng.integers(1, 9)))
        if not data:
            data = bytearray(valid)
    return bytes(data)


def _wrong_columns(good: oracle_pb2.ScoreRequest, _valid: bytes, rng: np.random.Generator) -> bytes:
    request = oracle_pb2.ScoreRequest()
    request.CopyFrom(good)
    batch = request.crystals
    columns = (batch.num_atoms, batch.numbers, batch.lattices, batch.frac_coords)
    column = columns[int(rng.integers(4))]
    action = int(rng.integers(4))
    if action == 0:
        del column[int(rng.integers(len(column))) :]
    elif action == 1:
        column.extend(column[: int(rng.integers(1, 5))])
    elif action == 2:
        batch.num_atoms[0] = int(rng.choice([-1, -(2**31), 2**31 - 1, 10**6, 0]))
    else:
        for other in columns:
            del other[int(rng.integers(len(other) + 1)) :]
    return request.SerializeToString()


def _wrong_varint(_good: oracle_pb2.ScoreRequest, _valid: bytes, rng: np.random.Generator) -> bytes:
    """Lengths that lie about what follows, and numbers of eleven bytes."""
    tag = bytes([int(rng.integers(1, 8)) << 3 | int(rng.integers(0, 6))])
    length = bytes([0xFF] * int(rng.integers(1, 11)) + [int(rng.integers(0, 128))])
    return tag + length + rng.bytes(int(rng.integers(0, 60)))


def _nested(good: oracle_pb2.ScoreRequest, valid: bytes, rng: np.random.Generator) -> bytes:
    """Settings within settings (Struct nests), and values of every enum and bound."""
    request = oracle_pb2.ScoreRequest()
    request.CopyFrom(good)
    settings = request.settings
    value = settings.calculator_settings.fields["x"]
    for _ in range(int(rng.integers(0, 120))):
        value = value.struct_value.fields["x"]
    value.number_value = 1.0
    settings.structure_timeout_s = float(rng.choice([np.nan, -1.0, 0.0, 1e-300, np.inf]))
    settings.sameness.metric = int(rng.integers(-5, 9))  # type: ignore[assignment]
    request.components.append(int(rng.integers(-9, 200)))  # type: ignore[arg-type]
    return request.SerializeToString() + valid[: int(rng.integers(0, 40))]
