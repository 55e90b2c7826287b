"""How much the oracle's cache and its batches are worth, as ratios within one run.

It scores made-up crystals (textbook structure types with random elements, sizes and displacements)
three times: with an empty cache, again, and rotated, shifted and relabelled, which the cache must
recognise. Then it takes the energies of some of them batched and one by one. Times depend on the
machine and its load; the ratios much less.

    python benchmarks/oracle.py --quick --json oracle.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oracle_svc.cache import open_cache
from oracle_svc.evaluators import CalculatorPool
from oracle_svc.matcher import PairMatcher
from oracle_svc.results import Component, ScoredBatch, ScoreOptions
from oracle_svc.scoring import Scorer
from oracle_svc.status import Status
from oracle_svc.validity import ValidityLimits
from xenolith.crystal import Crystal, CrystalBatch

FCC = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
TYPES = {
    "rocksalt": np.concatenate([FCC, FCC + 0.5]),
    "zincblende": np.concatenate([FCC, FCC + 0.25]),
    "fluorite": np.concatenate([FCC, FCC + 0.25, FCC - 0.25]),
    "caesium chloride": np.array([[0, 0, 0], [0.5, 0.5, 0.5]]),
}
CATIONS, ANIONS = [3, 11, 12, 13, 19, 20, 22, 26, 29, 30, 38, 56], [8, 9, 16, 17, 34, 35]
OPTIONS = ScoreOptions(components=frozenset({Component.STABILITY, Component.UNIQUENESS}))


def crystals(count: int, rng: np.random.Generator) -> CrystalBatch:
    """Random members of the structure types, slightly disturbed so that no two are one crystal."""
    made = []
    for _ in range(count):
        frac = TYPES[rng.choice(list(TYPES))]
        anions = len(frac) - max(len(frac) // 3, 4 if len(frac) > 2 else 1)
        numbers = np.full(len(frac), rng.choice(ANIONS))
        numbers[: len(frac) - anions] = rng.choice(CATIONS)
        size = (rng.uniform(14, 24) * len(frac)) ** (1 / 3)
        noise = rng.normal(scale=0.05, size=frac.shape) / size
        made.append(Crystal(lattice=np.eye(3) * size, numbers=numbers, frac_coords=frac + noise))
    return CrystalBatch.from_crystals(made)


def redescribed(batch: CrystalBatch, rng: np.random.Generator) -> CrystalBatch:
    """Return the same crystals rotated, shifted and relabelled."""
    made = []
    for crystal in batch:
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        order = rng.permutation(crystal.num_atoms)
        frac = crystal.frac_coords[order] + rng.random(3)
        made.append(Crystal(lattice=crystal.lattice @ turn, numbers=crystal.numbers[order], frac_coords=frac))
    return CrystalBatch.from_crystals(made)


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = action()
    return time.perf_counter() - begin, result


def measure(count: int, singles: int, workers: int, cache_url: str) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    batch = crystals(count, rng)
    with tempfile.TemporaryDirectory() as folder:
        calculators = CalculatorPool(workers=workers)
        scorer = Scorer(
            calculators=calculators,
            background=None,
            cache=open_cache(cache_url or f"sqlite:///{folder}/cache.db"),
            limits=ValidityLimits(),
            matcher=PairMatcher(),
        )
        try:
            return {
                "structures": count,
                "workers": workers,
                "calculator": calculators.identity.id,
                **_cache_figures(scorer, batch, rng),
                **_batch_figures(calculators, batch.take(range(singles))),
            }
        finally:
            scorer.close()


def _cache_figures(scorer: Scorer, batch: CrystalBatch, rng: np.random.Generator) -> dict[str, Any]:
    def score(crystals: CrystalBatch) -> ScoredBatch:
        return scorer.score(crystals, OPTIONS, stop=lambda: False)

    others = redescribed(batch, rng)
    score(crystals(2 * scorer.calculators.workers, rng))  # libraries load on first use
    cold_s, cold = timed(lambda: score(batch))
    warm_s, _ = timed(lambda: score(batch))
    other_s, other = timed(lambda: score(others))
    shifts = [
        abs(a.energy_per_atom - b.energy_per_atom)
        for a, b in zip(cold.scores, other.scores, strict=True)
        if a.energy_per_atom is not None and b.energy_per_atom is not None
    ]
    return {
        "valid": sum(bool(score.valid) for score in cold.scores),
        "cold_s": cold_s,
        "warm_s": warm_s,
        "redescribed_s": other_s,
        "cold_over_warm": cold_s / warm_s,
        "cold_over_redescribed": cold_s / other_s,
        "redescribed_hit_rate": other.stats.cache_hits
        / max(1, other.stats.cache_hits + other.stats.cache_misses),
        "largest_energy_difference": max(shifts, default=0.0),
        "cold_seconds_by_stage": cold.stats.seconds,
    }


def _batch_figures(calculators: CalculatorPool, batch: CrystalBatch) -> dict[str, Any]:
    """Both ways use all workers: one by one has a structure in flight for each of them."""
    from concurrent.futures import ThreadPoolExecutor

    def one_by_one() -> list[Any]:
        with ThreadPoolExecutor(calculators.workers) as threads:
            return list(threads.map(lambda i: calculators.evaluate(batch.take([i])), range(len(batch))))

    calculators.evaluate(batch)  # first passes of torch are slow
    batched_s, together = timed(lambda: calculators.evaluate(batch))
    single_s, alone = timed(one_by_one)
    good = [i for i, status in enumerate(together.statuses) if status is Status.OK]
    differences = [abs(together.energy_per_atom[i] - alone[i].energy_per_atom[0]) for i in good]
    return {
        "batched_s_per_structure": batched_s / len(batch),
        "one_by_one_s_per_structure": single_s / len(batch),
        "one_by_one_over_batched": single_s / batched_s,
        "largest_batch_difference": float(max(differences, default=0.0)),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few structures: a check that it runs")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="calculator processes")
    parser.add_argument(
        "--cache", default="", help="cache to use, such as redis://localhost:6379/9; default: sqlite"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args(argv)
    count, singles = (32, 16) if arguments.quick else (320, 128)
    figures = measure(count, singles, arguments.workers, arguments.cache)
    text = json.dumps(figures, indent=1)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
