"""Crystal structure prediction: a sample for each composition of a test split, against the known crystal.

A sample is given the composition and the atom count of a test crystal, nothing else. It counts as found if
pymatgen's StructureMatcher maps it onto that crystal, by the tolerances of DiffCSP and CDVAE (ltol 0.3,
stol 0.5, angle 10) and by tighter ones (0.2, 0.3, 5); RMSE is the mean over the found of the matcher's
displacement, in units of the cube root of the volume per atom. Comparisons run in processes that are killed
after a time limit; such a pair is not found.

`match_rate` is over all crystals. The published code of DiffCSP and its successors also counts a pair as not
found unless the composition can be charge-neutral and no two atoms are within 0.5 Angstrom;
`match_rate_screened` does the same.

    python -m benchmarks.csp data/mp20.parquet --bundle mp20-small -n 1000 --guidance 2 --json csp.json
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.command_line import benchmark_parser, parse, publish
from generator_svc.data.load import read_crystals
from generator_svc.data.table import CrystalTable
from generator_svc.diffusion.sampler import SamplerSettings
from generator_svc.finisher.plan import FinishPlan, finish_plan
from generator_svc.networks.conditions import conditions_of
from generator_svc.networks.ragged import Ragged
from generator_svc.service.engine import Engine, SamplePlan
from generator_svc.service.policy import Policy
from generator_svc.storage.bundle import load_bundle
from oracle_svc.crystals.charge import charge_neutral
from oracle_svc.pools.worker_pool import WorkerDiedError, WorkerPool, WorkerTimeoutError
from xenolith.bundle import find_bundle
from xenolith.cli.generator.finishing import add_finishing
from xenolith.crystal import Crystal
from xenolith.intervals import wilson
from xenolith.v1 import generator_pb2

TOLERANCES = {"loose": (0.3, 0.5, 10.0), "tight": (0.2, 0.3, 5.0)}
"""ltol, stol, angle_tol (degrees)."""
MIN_DISTANCE_A, MIN_VOLUME_A3 = 0.5, 0.1


def predict(
    engine: Engine,
    table: CrystalTable,
    settings: SamplerSettings,
    finishing: FinishPlan | None,
    seed: int,
    batch: int,
) -> list[Crystal]:
    """One sample for each of the table's compositions, in its order."""
    config = engine.loaded.denoiser.config.conditions
    if config is None or not config.composition:
        raise SystemExit(
            f"bundle {engine.loaded.bundle.name} has not learnt compositions; train one that has"
        )
    ragged = Ragged(torch.from_numpy(table.num_atoms))
    labels = torch.full((len(table), len(config.scalars)), torch.nan)
    wanted = conditions_of(torch.from_numpy(table.numbers), ragged, labels, config.max_atomic_number)
    kinds = torch.tensor([[True, False, *[False] * len(config.scalars)]])
    plan = SamplePlan(
        num_atoms=table.num_atoms,
        seeds=engine.draw_seeds(seed, len(table)),
        initial_seeds=None,
        settings=settings,
        chunk=batch,
        embeddings=False,
        conditions=wanted.keep(kinds),
        finishing=finishing,
    )
    found: dict[int, Crystal] = {}
    began = time.monotonic()
    for part in engine.sample(Policy("bundle", engine.loaded.denoiser), plan, lambda: False):
        found |= dict(zip(part.indices.tolist(), part.crystals, strict=True))
        print(f"sampled {len(found)} of {len(table)}, {time.monotonic() - began:.0f} s", file=sys.stderr)
    return [found[index] for index in range(len(table))]


def compare(pairs: Sequence[tuple[Crystal, Crystal]], workers: int, limit_s: float) -> list[dict[str, Any]]:
    """For each pair (predicted, known): rms by tolerance name, None where not mapped; `screened`; `error`."""
    pool = WorkerPool(handler="benchmarks.csp:worker", size=workers)

    def one(pair: tuple[Crystal, Crystal]) -> dict[str, Any]:
        fields = {
            f"{side}_{part}": np.asarray(getattr(crystal, part), dtype=kind)
            for side, crystal in zip("ab", pair, strict=True)
            for part, kind in (("lattice", np.float64), ("numbers", np.int64), ("frac_coords", np.float64))
        }
        try:
            return pool.call(fields, time_limit_s=limit_s)
        except WorkerTimeoutError:
            return {"error": f"not compared within {limit_s:g} s"}
        except WorkerDiedError:
            return {"error": "the comparing process died"}

    try:
        with ThreadPoolExecutor(workers) as threads:
            return list(threads.map(one, pairs))
    finally:
        pool.close()


def worker() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Handler of a comparing process."""
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core import Lattice, Structure

    matchers = {
        name: StructureMatcher(ltol=ltol, stol=stol, angle_tol=angle)
        for name, (ltol, stol, angle) in TOLERANCES.items()
    }

    def structure(request: dict[str, Any], side: str) -> Structure:
        numbers = request[f"{side}_numbers"].tolist()
        return Structure(Lattice(request[f"{side}_lattice"]), numbers, request[f"{side}_frac_coords"])

    def handle(request: dict[str, Any]) -> dict[str, Any]:
        predicted, known = structure(request, "a"), structure(request, "b")
        answer: dict[str, Any] = {"screened": _sane(predicted) and _sane(known) and _neutral(predicted)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, matcher in matchers.items():
                rms = matcher.get_rms_dist(predicted, known)
                answer[name] = None if rms is None else float(rms[0])
        return answer

    return handle


def _neutral(structure: Any) -> bool:
    return bool(charge_neutral(np.array(structure.atomic_numbers)))


def _sane(structure: Any) -> bool:
    distances = structure.distance_matrix
    apart = distances + np.diag(np.full(len(structure), np.inf))
    return bool(structure.volume >= MIN_VOLUME_A3 and apart.min() >= MIN_DISTANCE_A)


def summary(results: Sequence[dict[str, Any]], sizes: Sequence[int]) -> dict[str, Any]:
    """Shares and RMSE, over all and by atom count."""
    figures: dict[str, Any] = {"n": len(results), "errors": sum("error" in result for result in results)}
    for name in TOLERANCES:
        rms = np.array([result.get(name) for result in results], dtype=float)
        screened = np.array([bool(result.get("screened")) for result in results])
        hit = np.isfinite(rms)
        figures[name] = {
            "match_rate": float(hit.mean()),
            "match_rate_ci95": [round(end, 4) for end in wilson(int(hit.sum()), len(hit))],
            "rmse": float(rms[hit].mean()) if hit.any() else None,
            "match_rate_screened": float((hit & screened).mean()),
            "match_rate_by_atoms": {
                f"{low}-{high}": float(hit[inside].mean())
                for low, high in ((1, 4), (5, 8), (9, 12), (13, 16), (17, 20))
                if (inside := (np.array(sizes) >= low) & (np.array(sizes) <= high)).any()
            },
        }
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict, compare, print and write."""
    given = _arguments(arguments)
    torch.set_num_threads(given.threads)
    engine = Engine(load_bundle(find_bundle(given.bundle), given.device), torch.device(given.device))
    limit = int(engine.loaded.bundle.manifest["max_atoms"])
    table = read_crystals(given.data, split=given.split, max_atoms=limit)
    rows = np.sort(np.random.default_rng(given.seed).permutation(len(table))[: given.n or None])
    table = table.take(rows)
    settings = SamplerSettings(steps=given.steps, eta=given.eta, guidance_scale=given.guidance)
    began = time.monotonic()
    asked = generator_pb2.Finishing(steps=given.finish_steps, noise=given.finish_noise)
    finishing = finish_plan(asked, engine.finishing)
    predicted = predict(engine, table, settings, finishing, given.seed, given.batch)
    sampled = time.monotonic()
    known = [_known(table, index) for index in range(len(table))]
    results = compare(list(zip(predicted, known, strict=True)), given.workers, given.limit_s)
    report = {
        "bundle": engine.loaded.bundle.name,
        "bundle_digest": engine.loaded.bundle.digest,
        "data": {"file": given.data.name, "split": given.split, "max_atoms": limit},
        "sampler": {"steps": given.steps, "eta": given.eta, "guidance_scale": given.guidance},
        "finishing": None if finishing is None else {"steps": finishing.steps, "noise": finishing.noise},
        "seed": given.seed,
        "sampling_s": round(sampled - began, 1),
        "matching_s": round(time.monotonic() - sampled, 1),
        **summary(results, table.num_atoms.tolist()),
    }
    entries = [
        {"id": str(name), "formula": crystal.formula, "num_atoms": crystal.num_atoms, **result}
        for name, crystal, result in zip(table.ids, known, results, strict=True)
    ]
    publish(report, given.json, crystals=entries)
    return 0


def _known(table: CrystalTable, index: int) -> Crystal:
    atoms = slice(int(table.offsets[index]), int(table.offsets[index + 1]))
    return Crystal(
        lattice=table.lattices[index].astype(np.float64),
        numbers=table.numbers[atoms].astype(np.int32),
        frac_coords=table.frac_coords[atoms].astype(np.float64),
    )


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = benchmark_parser("csp", __doc__)
    parser.add_argument("data", type=Path, help="parquet table of crystals, such as mp20.parquet")
    parser.add_argument("--split", default="test", help="rows to predict (default: test)")
    parser.add_argument("--bundle", default="mp20-small", help="name or path")
    parser.add_argument("-n", type=int, default=0, help="crystals, drawn by the seed; 0: all (default)")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--eta", type=float, default=1.0)
    parser.add_argument("--guidance", type=float, default=2.0, help="1: plain conditional model")
    add_finishing(parser)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="torch threads on a CPU")
    parser.add_argument("--workers", type=int, default=1, help="comparing processes")
    parser.add_argument("--limit-s", type=float, default=20.0, help="time limit of one comparison, seconds")
    return parse(parser, arguments, quick={"n": 8, "steps": 10})


if __name__ == "__main__":
    sys.exit(main())
