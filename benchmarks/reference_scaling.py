"""Cost of a reference as it grows: opening, memory, novelty, nearest composition and graded novelty.

    python -m benchmarks.reference_scaling --reference bundles/mp20-small/reference --sizes 10000 100000
    1000000

Larger references are made of a real one: its AMD vectors with noise, and its compositions with one element
replaced by another in two of three copies, so that formulas become many as they do in larger data bases.
Queries are real structures with noise. Prints JSON; `measure` is for other benchmarks.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.command_line import benchmark_parser, parse, publish
from oracle_svc.crystals.amd import DEFAULT_K
from oracle_svc.crystals.elmd import cumulative
from oracle_svc.known.novelty.amd_store import AmdStore
from oracle_svc.known.novelty.sameness import nearest_of
from oracle_svc.known.reference.folder import Reference
from oracle_svc.known.reference.manifest import AMD, FORMAT, MANIFEST, STRUCTURES
from xenolith.bundle import sha256

_NOISE = 0.05  # Angstrom
_ELEMENTS = np.array([z for z in range(1, 84) if z not in {2, 10, 18, 36, 43, 54, 61}])


def grown(source: Reference, size: int, folder: Path, seed: int = 0) -> Path:
    """Write a reference of `size` structures made of a smaller one."""
    rng = np.random.default_rng(seed)
    columns = pq.read_table(source.path / STRUCTURES, columns=["elements", "counts"]).to_pydict()
    rows = rng.integers(0, len(source), size)
    places, others = rng.random(size), rng.choice(_ELEMENTS, size).tolist()
    elements, counts, formulas = [], [], []
    for copy, row in enumerate(rows.tolist()):
        members, amounts = columns["elements"][row], columns["counts"][row]
        if copy % 3 and others[copy] not in members:
            place = int(places[copy] * len(members))
            pairs = sorted(zip([*members[:place], others[copy], *members[place + 1 :]], amounts, strict=True))
            members, amounts = [z for z, _ in pairs], [n for _, n in pairs]
        elements.append(members)
        counts.append(amounts)
        # A name as good as the formula, and a tenth of the time to make.
        formulas.append(" ".join(f"{z}:{n}" for z, n in zip(members, amounts, strict=True)))
    order = np.argsort(np.array(formulas), kind="stable")
    noisy = np.empty((size, DEFAULT_K), dtype=np.float32)
    for start in range(0, size, 50_000):
        part = rows[order[start : start + 50_000]]
        vectors = source._amd.vectors(part)
        noise = rng.standard_normal(vectors.shape, dtype=np.float32) * _NOISE
        noisy[start : start + 50_000] = np.abs(vectors + noise)
    packed = AmdStore.pack(noisy)
    folder.mkdir(parents=True)
    packed.save(folder / AMD)
    table = pa.table(
        {
            "id": pa.array([f"copy-{row}" for row in order.tolist()]),
            "formula": pa.array([formulas[row] for row in order]),
            "elements": pa.array([elements[row] for row in order], pa.list_(pa.uint8())),
            "counts": pa.array([counts[row] for row in order], pa.list_(pa.uint16())),
        }
    )
    pq.write_table(table, folder / STRUCTURES, compression="zstd")
    info = {
        "format": FORMAT, "id": f"grown-{size}", "licence": "", "attribution": "", "calculator": None,
        "structures": {"count": size, "sha256": sha256(folder / STRUCTURES)},
        "amd": {"k": DEFAULT_K, "step": packed.step, "sha256": sha256(folder / AMD)},
        "settings": {"amd_tolerance": source.amd_tolerance},
    }  # fmt: skip
    (folder / MANIFEST).write_text(json.dumps(info))
    return folder


def measure(path: Path, queries: int = 200, seed: int = 1) -> dict[str, float]:
    """Open a reference and ask it `queries` times; seconds and MiB.

    Times are CPU seconds of this process per structure, so that a busy machine changes them little.
    """
    gc.collect()
    before = psutil.Process().memory_info().rss
    began = time.process_time()
    reference = Reference.read(path)
    index = reference.index
    distinct = len(index.compositions)
    opened = time.process_time() - began
    rng = np.random.default_rng(seed)
    columns = pq.read_table(path / STRUCTURES, columns=["elements", "counts", "formula"])
    asked = []
    for row in rng.choice(len(reference), queries, replace=False).tolist():
        members, amounts = columns["elements"][row].as_py(), columns["counts"][row].as_py()
        numbers = np.repeat(members, amounts)
        if row % 2:
            numbers = np.append(numbers, rng.choice(_ELEMENTS))
        total = cumulative(numbers)
        vector = reference._amd.vectors(np.array([row]))[0] + rng.normal(0, _NOISE, DEFAULT_K)
        if total is not None:
            asked.append((columns["formula"][row].as_py(), total, np.abs(vector)))
    return {
        "structures": len(reference),
        "compositions": distinct,
        "open_s": opened,
        "resident_mib": (psutil.Process().memory_info().rss - before) / 2**20,
        "file_mib": sum(file.stat().st_size for file in path.iterdir()) / 2**20,
        "novelty_s": _each(lambda f, _, v: nearest_of(index, f, v, reference.amd_tolerance), asked),
        "composition_s": _each(lambda _, t, __: index.compositions.nearest(t), asked),
        "graded_s": _each(lambda _, t, v: index.graded_distance(t, v), asked),
    }


def _each(
    call: Callable[[str, NDArray[np.float64], NDArray[np.float64]], Any],
    asked: Sequence[tuple[str, Any, Any]],
) -> float:
    call(*asked[0])
    began = time.process_time()
    for query in asked:
        call(*query)
    return (time.process_time() - began) / len(asked)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure references of several sizes and print."""
    parser = benchmark_parser("reference_scaling", __doc__)
    parser.add_argument("--reference", type=Path, default=Path("bundles/mp20-small/reference"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=200)
    given = parse(parser, arguments, quick={"sizes": [2000], "queries": 20})
    source = Reference.read(given.reference)
    results = []
    for size in given.sizes:
        with tempfile.TemporaryDirectory() as folder:
            results.append(measure(grown(source, size, Path(folder) / "reference"), given.queries))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    publish({"reference": source.id, "sizes": results, "peak_mib": peak}, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
