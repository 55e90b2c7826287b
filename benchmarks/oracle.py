"""Cost of scoring here and the way the field does it: same structures, same models, one run.

320 structures of MP-20, disturbed, 5 % of them malformed, are scored cold (no cache knows them) with CHGNet
and with a model of MACE-MPA-0's architecture and random weights, each on one core; some of the same
structures go through the serial path of `oracle_parts/serial.py` on the same core, one tool after the other.
Then the oracle runs as a service: warm from Redis through gRPC, with 50 callers of single structures beside
one caller of batches of 64, and as two replicas on two cores.

    python -m benchmarks.oracle --json oracle.json --plot oracle.png       # about ten minutes on two cores
    python -m benchmarks.oracle --quick                                    # a check that it runs

Needs XENOLITH_DATA (mp20.parquet) and the development extra. Times depend on the machine and its load; the
ratios much less, since their two sides are measured in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command_line import benchmark_parser, parse, publish
from benchmarks.oracle_parts import ours, served
from benchmarks.oracle_parts.callers import callers
from benchmarks.oracle_parts.clock import clock_of
from benchmarks.oracle_parts.inputs import mp20, mpa0_with_random_weights, perturbed
from benchmarks.oracle_parts.plots import draw
from benchmarks.oracle_parts.serial import Clock, SerialPath, mmd_constant
from oracle_svc.known.reference.structures import StructureTable
from xenolith.crystal import CrystalBatch


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _arguments(argv)
    import torch

    torch.set_num_threads(1)
    table, every_core = mp20(), os.sched_getaffinity(0)
    report: dict[str, Any] = {
        "structures": arguments.count,
        "serial_structures": arguments.serial,
        "clock": arguments.clock,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {
            "chgnet": {},
            "mace": {"path": str(mpa0_with_random_weights(folder / "mace")), "name": "mpa-0-random"},
        }
        for calculator, settings in models.items():
            if calculator in arguments.only:
                _say(f"{calculator}: cold, and the serial path")
                ours.pin(arguments.core)
                report[calculator] = _compare(arguments, table, calculator, settings, folder)
                os.sched_setaffinity(0, every_core)
        _say("the MMD constant")
        report["mmd_constant_s"] = mmd_constant(
            len(table), arguments.count, (64, 118), clock_of(arguments.clock)
        )
        if "served" in arguments.only:
            _say("warm, through gRPC from Redis")
            batch = perturbed(table, arguments.count, 0)
            report["warm"] = served.warm(batch, folder, arguments.core, 5 * arguments.repeats)
        if "callers" in arguments.only:
            _say("many callers of single structures beside one of batches")
            report["callers"] = callers(
                table, folder, arguments.core, arguments.count, arguments.callers, arguments.repeats
            )
        if "scaling" in arguments.only and len(every_core) > 1:
            _say("two replicas on two cores")
            batches = [perturbed(table, max(16, arguments.count // 5), seed) for seed in range(3)]
            report["replicas"] = served.scaling(batches, folder, sorted(every_core)[:2])
    report |= _ratios(report, arguments.count)
    if arguments.plot:
        references = json.loads(arguments.references.read_text()) if arguments.references else None
        draw(report, references, arguments.plot)
    publish(report, arguments.json)
    return 0


def _compare(
    arguments: argparse.Namespace, table: StructureTable, calculator: str, settings: Any, folder: Path
) -> dict[str, Any]:
    """Both ways in turn: a batch of ours, a share of the serial path, and so on."""
    with ours.opened(calculator, settings) as pool:
        reference = ours.reference_for(pool)
        if reference.hull is None:
            raise SystemExit("the shipped reference has no hull")

        def score(batch: CrystalBatch) -> ours.Cold:
            return ours.cold(pool, reference, batch, folder, arguments.clock)

        score(perturbed(table, 16, 99))  # libraries load on first use
        batches = [perturbed(table, arguments.count, seed) for seed in range(arguments.repeats)]
        first = score(batches[0])
        rows = [i for i, s in enumerate(first.scored.scores) if s.energy_per_atom is not None]
        rows = rows[: arguments.serial]
        now = clock_of(arguments.clock)
        path = SerialPath([batches[0][i] for i in rows], table, reference.hull)
        clock = Clock(now)
        energies = path.energies(_ase_calculator(calculator, settings), clock)
        runs = [first, *map(score, batches[1:2])]
        above = path.above_hull(energies, clock)
        path.unique(clock)
        path.novel(clock)
        nearest = path.creativity(clock)
        runs += map(score, batches[2:])
        dictionary = path.dictionary(now) / arguments.count
        by_size = {
            size: ours.figures([score(perturbed(table, size, 50 + size))], size)["cold_ms"]
            for size in (1, 4, 16, 64, 256)
            if size <= arguments.count
        }
    scores = [first.scored.scores[i] for i in rows]
    serial = {name: 1e3 * seconds / len(rows) for name, seconds in clock.seconds.items()}
    serial["dictionary"] = 1e3 * dictionary
    return {
        "serial_ms": {**serial, "sum": sum(serial.values())},
        **ours.figures(runs, arguments.count),
        "cold_ms_by_batch_size": by_size,
        "largest_difference": {
            "energy_per_atom": _most([s.energy_per_atom for s in scores], energies),
            "e_above_hull": _most([s.e_above_hull for s in scores], above),
            "amd_distance": _most(
                [s.amd_distance if s.batch_amd_distance is None else None for s in scores], nearest
            ),
        },
    }


def _ase_calculator(calculator: str, settings: Any) -> Any:
    if calculator == "chgnet":
        from chgnet.model.dynamics import CHGNetCalculator

        return CHGNetCalculator(use_device="cpu")
    import torch
    from mace.calculators import MACECalculator

    from oracle_svc.calculators.mace.model import load_model

    model = load_model(Path(settings["path"]), torch.float32)
    return MACECalculator(models=[model], device="cpu", default_dtype="float32")


def _most(ours_: Sequence[float | None], theirs: Sequence[float | None]) -> float:
    pairs = [(a, b) for a, b in zip(ours_, theirs, strict=True) if a is not None and b is not None]
    return float(max((abs(a - b) for a, b in pairs), default=np.nan))


def _ratios(report: dict[str, Any], count: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    mmd = 1e3 * report["mmd_constant_s"] / count
    for name in ("mace", "chgnet"):
        if name in report:
            part = report[name]
            found[f"cold_ratio_{name}"] = part["serial_ms"]["sum"] / part["cold_ms"]
            found[f"cold_ratio_{name}_with_mmd"] = (part["serial_ms"]["sum"] + mmd) / part["cold_ms"]
            found[f"overhead_ratio_{name}"] = part["overhead_ratio"]
    if "mace" in report:
        found["overhead_ratio"] = found["overhead_ratio_mace"]
    if "warm" in report:
        found["warm_structures_per_s"] = report["warm"]["warm_structures_per_s"]
        for name in ("mace", "chgnet"):
            if name in report:
                found[f"warm_ratio_{name}"] = report[name]["cold_ms"] / report["warm"]["warm_ms"]
                serial = report[name]["serial_ms"]["sum"]
                found[f"warm_ratio_to_serial_{name}"] = serial / report["warm"]["warm_ms"]
        if "mace" in report:
            found["warm_ratio"] = found["warm_ratio_mace"]
    if "callers" in report:
        for name in ("cold", "mixed", "warm"):
            found[f"singles_ratio_{name}"] = report["callers"]["merged"][f"{name}_ratio"]
    if "replicas" in report:
        found["replica_scaling"] = report["replicas"]["replica_scaling"]
    return found


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = benchmark_parser("oracle", __doc__)
    parts = ["chgnet", "mace", "served", "callers", "scaling"]
    parser.add_argument("--count", type=int, default=320, help="structures in a batch")
    parser.add_argument("--serial", type=int, default=160, help="of them through the serial path")
    parser.add_argument("--repeats", type=int, default=3, help="batches of ours")
    parser.add_argument("--callers", type=int, default=50, help="callers of single structures at once")
    parser.add_argument("--core", type=int, help="core of everything that runs alone; default: the last")
    parser.add_argument(
        "--clock", choices=["wall", "cpu"], default="wall", help="cpu: processor time, for a busy machine"
    )
    parser.add_argument("--only", nargs="+", choices=parts, default=parts, help="parts to measure")
    parser.add_argument("--plot", type=Path, help="draw cost against batch size and references here")
    parser.add_argument(
        "--references", type=Path, help="JSON of benchmarks/reference_scaling.py, for the plot"
    )
    arguments = parse(parser, argv, quick={"count": 32, "serial": 8, "repeats": 2})
    if arguments.core is None:
        arguments.core = max(os.sched_getaffinity(0))
    return arguments


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
