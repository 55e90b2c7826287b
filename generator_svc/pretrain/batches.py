"""Which crystals make a step: deterministic in (seed, epoch), cut into pieces that processes can share."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from generator_svc.storage.run_settings import LoopSettings

__all__ = ["batches", "piece_of", "seed_of", "steps_per_epoch"]

_BATCHES_SORTED_TOGETHER = 50


def batches(
    num_atoms: NDArray[np.int64], settings: LoopSettings, start: int
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """(step, rows) from step `start` on; each epoch is a permutation derived from (seed, epoch).

    A training by the clock has no last one.

    Parameters
    ----------
    num_atoms
        (S,) atoms of every crystal.
    """
    per_epoch = steps_per_epoch(len(num_atoms), settings)
    for epoch in itertools.count(start // per_epoch):
        if settings.minutes is None and epoch >= settings.epochs:
            return
        draw = np.random.default_rng([settings.seed, epoch])
        order = draw.permutation(len(num_atoms))
        if settings.bucket:
            window = len(order) if settings.bucket == "epoch" else _BATCHES_SORTED_TOGETHER
            order = _bucketed(order, num_atoms, settings.batch_size, window, draw)
        for index in range(per_epoch):
            step = epoch * per_epoch + index
            if step >= start:
                yield step, order[index * settings.batch_size : (index + 1) * settings.batch_size]


def steps_per_epoch(rows: int, settings: LoopSettings) -> int:
    """Batches of an epoch; the last, smaller one is dropped unless it is the only one."""
    return max(1, rows // settings.batch_size)


def piece_of(rows: NDArray[np.int64], piece: int, pieces: int) -> NDArray[np.int64]:
    """Every `pieces`-th row from row `piece` on: pieces of one batch have alike sizes and atom counts."""
    return rows[piece::pieces]


def seed_of(seed: int, step: int, piece: int) -> int:
    """Seed of the noise of one piece of one step.

    Python's hash of integers is fixed by its implementation (unlike that of texts), and stays as it is so
    that runs begun by an older version go on bit for bit.
    """
    key = (seed, step) if piece == 0 else (seed, step, piece)
    return hash(key) & 0x7FFFFFFF


def _bucketed(
    order: NDArray[np.int64],
    num_atoms: NDArray[np.int64],
    batch_size: int,
    batches: int,
    draw: np.random.Generator,
) -> NDArray[np.int64]:
    """Batches of nearly equal atom counts, in random order; which crystals meet stays random.

    Crystals of so many batches that are near each other in the random order are sorted together, and every
    batch of a size is a fresh mixture in every epoch. What no batch takes is at the end, as without buckets.
    """
    whole = len(order) // batch_size * batch_size
    window = batch_size * batches
    sorted_parts = [
        part[np.argsort(num_atoms[part], kind="stable")]
        for part in (order[start : min(start + window, whole)] for start in range(0, whole, window))
    ]
    if not sorted_parts:
        return order
    made = np.concatenate(sorted_parts).reshape(-1, batch_size)
    return np.concatenate([made[draw.permutation(len(made))].reshape(-1), order[whole:]])
