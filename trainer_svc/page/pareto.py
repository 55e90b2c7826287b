"""Novelty against stability along a run: clouds of structures, and their fronts as training goes on."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer_svc.page.structures import StructureTable
from trainer_svc.report.sample_charts import pareto_front
from xenolith.headlines import METASTABLE_BELOW

__all__ = ["pareto_document"]

_STAGES = 4
"""Parts of the training whose fronts are told apart."""
_MOST_POINTS = 400
"""Structures of each cloud that are drawn; fronts are of all."""


def pareto_document(tables: dict[str, StructureTable]) -> dict[str, Any]:
    """Return clouds and fronts of the tables that a run has.

    A point is ``[energy above hull in eV/atom, distance to the nearest known crystal in Angstrom, row]``; the
    distance is None where no known crystal has this formula. A front holds what no other structure beats in
    both, among those with a distance. Candidates have a front for each quarter of the training so far, of all
    that was found until then.
    """
    clouds = [_cloud(source, source, tables[source]) for source in ("base", "tuned") if source in tables]
    if candidates := tables.get("candidates"):
        clouds[1:1] = _stages(candidates)
    return {"metastable_below": METASTABLE_BELOW, "clouds": clouds}


def _stages(table: StructureTable) -> list[dict[str, Any]]:
    steps = table.column("step")
    if not len(table):
        return []
    ends = np.unique(np.ceil(np.linspace(0, steps.max(), _STAGES + 1)[1:]).astype(int))
    stages, before = [], -np.inf
    for end in ends:
        until, new = steps <= end, (steps > before) & (steps <= end)
        stages.append(
            _cloud("candidates", f"candidates to step {end}", table, until, new) | {"step": int(end)}
        )
        before = end
    return stages


def _cloud(
    source: str,
    label: str,
    table: StructureTable,
    among: NDArray[np.bool_] | None = None,
    drawn: NDArray[np.bool_] | None = None,
) -> dict[str, Any]:
    energies, distances = table.column("e_above_hull"), table.column("amd_distance")
    kept = np.isfinite(energies) & (table.column("valid") == 1.0)
    counted = (kept if among is None else kept & among) & np.isfinite(distances)
    front = pareto_front(energies[counted], distances[counted])
    rows = np.nonzero(kept if drawn is None else kept & drawn)[0]
    # Evenly along the table, so that no part of the training is left out.
    rows = (
        rows[np.linspace(0, len(rows) - 1, min(len(rows), _MOST_POINTS)).astype(int)] if len(rows) else rows
    )
    return {
        "source": source,
        "label": label,
        "points": [
            [
                round(float(energies[row]), 4),
                round(float(distances[row]), 4) if np.isfinite(distances[row]) else None,
                int(row),
            ]
            for row in rows
        ],
        "front": [[round(x, 4), round(y, 4)] for x, y in zip(*front, strict=True)],
    }
