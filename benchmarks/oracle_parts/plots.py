"""Cost against batch size and against the number of references."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw(report: dict[str, Any], references: dict[str, Any] | None, path: Path) -> None:
    """Write a figure.

    Parameters
    ----------
    report
        Of `benchmarks/oracle.py`.
    references
        Of `benchmarks.reference_scaling`.
    """
    from matplotlib.figure import Figure

    columns = 2 if references else 1
    figure = Figure(figsize=(5 * columns, 4))
    axes = figure.subplots(1, columns, squeeze=False)
    for name in ("mace", "chgnet"):
        if name in report:
            costs = report[name]["cold_ms_by_batch_size"]
            axes[0, 0].loglog(list(map(int, costs)), list(costs.values()), "o-", label=name)
    axes[0, 0].set(xlabel="structures in a batch", ylabel="ms per structure, cold, one core")
    axes[0, 0].legend()
    if references:
        sizes = [row["structures"] for row in references["sizes"]]
        for part in ("novelty_s", "composition_s", "graded_s"):
            costs = [1e3 * row[part] for row in references["sizes"]]
            axes[0, 1].loglog(sizes, costs, "o-", label=part.removesuffix("_s"))
        axes[0, 1].set(xlabel="references", ylabel="ms per structure")
        axes[0, 1].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
