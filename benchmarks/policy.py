"""Cost of each algorithm until mSUN has risen by 10 points, on one bundle, network and oracle.

Every contender trains from the bundle's own policy and is evaluated as it goes, all on the same seeds and
sizes; it ends when it is there, or at its limit of oracle calls or of time, and then counts as a lower bound
(``censored``). Costs are of training alone: structures scored, seconds of steps, and energies that the
calculator computed. Each run has services and a cache of its own; a benchmark that was interrupted goes on
where it was.

`calls_ratio`, `wall_ratio` and `evaluations_ratio` say how many times more the paper's GRPO (its reward and
hyper-parameters) costs than the quickstart's algorithm; those ending in `_grpo`, how many times more the
quickstart's GRPO does. For seconds that mean something, nothing else may run on the machine.

    python -m benchmarks.policy --seeds 0 1 2 --json policy.json --plot policy.png
    python -m benchmarks.policy --quick          # one seed, no other algorithms: under an hour on two cores
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.command_line import benchmark_parser, parse, publish
from benchmarks.policy_parts.contenders import CONTENDERS, DEFAULT, GRPO, PAPER, contender, samples_per_step
from benchmarks.policy_parts.plots import draw
from benchmarks.policy_parts.race import Finish, Point, as_json, compare, curve, finish
from xenolith.stack import Stack, StackSettings


def main(arguments: Sequence[str] | None = None) -> int:
    given = _arguments(arguments)
    curves: dict[str, list[list[Point]]] = {
        name: [race(name, seed, given) for seed in given.seeds] for name in given.algorithms
    }
    finishes = {name: [finish(points, given.gain) for points in seeds] for name, seeds in curves.items()}
    details = {
        name: [
            {"seed": seed, "finish": as_json(end), "curve": [as_json(point) for point in points]}
            for seed, end, points in zip(given.seeds, finishes[name], curves[name], strict=True)
        ]
        for name in curves
    }
    publish(report(finishes) | {"gain": given.gain, "seeds": given.seeds}, given.json, runs=details)
    if given.plot is not None:
        draw(curves, given.gain, given.plot)
    return 0


def race(name: str, seed: int, given: argparse.Namespace) -> list[Point]:
    """Train one contender until it is there, or at its limit."""
    fields = contender(name)
    samples = samples_per_step(fields)
    config = {
        **fields,
        "name": f"{name}-{seed}",
        "seed": seed,
        "steps": math.ceil(given.calls / samples),
        "evaluation": {
            "n": 0,
            "every": max(1, round(given.every / samples)),
            "n_during": given.n,
            "atom_counts": {"max": given.max_atoms},
            "sampler": {"steps": 16, "eta": 1.0},
        },
        "early_stopping": {"max_training_s": 60.0 * given.minutes},
    }
    home = given.folder / f"{name}-{seed}"
    settings = StackSettings(bundle=given.bundle, runs=given.folder / "runs", home=home)
    events: list[Any] = []
    with Stack(settings) as stack, stack.client() as client:
        run = client.trainer.start_run(config)
        if run.state in {"INTERRUPTED", "FAILED"}:
            client.trainer.resume_run(run.name)
        there = False
        for event in client.trainer.watch_run(run.name):
            events.append(event.proto)
            if event.kind == "evaluation":
                points = curve(events)
                sys.stderr.write(
                    f"{run.name}: {points[-1].cost.calls:.0f} calls, mSUN {points[-1].msun:.1%}\n"
                )
                if not there and not finish(points, given.gain).censored:
                    there = True
                    client.trainer.stop_run(run.name)
        ended = client.trainer.get_run(run.name)
        if ended.state not in {"SUCCEEDED", "STOPPED"}:
            raise SystemExit(f"run {run.name} {ended.state.lower()}: {ended.message}")
    return curve(events)


def report(finishes: dict[str, list[Finish]]) -> dict[str, Any]:
    """Put the quickstart's algorithm, and every other, beside the paper's GRPO and the quickstart's."""
    figures: dict[str, Any] = {}
    if DEFAULT in finishes:
        for slow, suffix in ((PAPER, ""), (GRPO, "_grpo")):
            if slow in finishes:
                ratios = compare(finishes[slow], finishes[DEFAULT])
                figures |= {f"{key}{suffix}": value for key, value in ratios.items()}
    if PAPER in finishes:
        others = [name for name in finishes if name != PAPER]
        figures["against_paper"] = {name: compare(finishes[PAPER], finishes[name]) for name in others}
    figures["reached"] = {name: [as_json(end) for end in ends] for name, ends in finishes.items()}
    return figures


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = benchmark_parser("policy", __doc__)
    parser.add_argument(
        "--algorithms", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), metavar="NAME"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED")
    parser.add_argument("--gain", type=float, default=0.10, help="rise of mSUN to reach (default: 0.10)")
    parser.add_argument("--calls", type=int, default=30720, help="most structures scored in a run's training")
    parser.add_argument("--minutes", type=float, default=120.0, help="most minutes of a run's training")
    parser.add_argument("--every", type=int, default=512, help="calls between evaluations (default: 512)")
    parser.add_argument("-n", type=int, default=500, help="samples of each evaluation (default: 500)")
    parser.add_argument("--max-atoms", type=int, default=20, help="largest cells evaluated (default: 20)")
    parser.add_argument("--bundle", default="", help="bundle by name or folder (default: the one that ships)")
    parser.add_argument("--folder", type=Path, default=Path("policy-benchmark"), help="runs, logs and caches")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the curves here")
    quick = {
        "algorithms": [DEFAULT, PAPER, GRPO],
        "seeds": [0],
        "n": 256,
        "every": 1024,
        "calls": 10240,
        "minutes": 14.0,
    }
    return parse(parser, arguments, quick=quick)


if __name__ == "__main__":
    sys.exit(main())
