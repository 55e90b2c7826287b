"""Rock salts: the smallest training set, half of it for training and half for validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SALTS = [(11, 17, 5.6), (12, 8, 4.2), (3, 9, 4.0), (20, 8, 4.8), (19, 35, 6.6), (37, 17, 6.6), (56, 8, 5.5)]
SALTS += [(3, 17, 5.1)]


def write_salts(path: Path) -> Path:
    """Write them, on primitive cells, with a label `gap` that the first two lack."""
    rows = []
    for index, (metal, anion, edge) in enumerate(SALTS):
        side = edge / np.sqrt(2)
        rows.append(
            {
                "material_id": f"rock-salt-{index}",
                "split": "train" if index % 2 == 0 else "val",
                "lattice": [side, side, side, 60.0, 60.0, 60.0],
                "numbers": [metal, anion],
                "frac": [0.0, 0.0, 0.0, 0.5, 0.5, 0.5],
                "gap": None if index < 2 else edge,
            }
        )
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path
