"""Summaries of a set of crystals: its contents, and how much of it fits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from generator_svc.data.load import DataSettings
from generator_svc.data.prepared import prepare
from xenolith.elements import SYMBOLS
from xenolith.errors import InvalidArgumentError
from xenolith.explain import explain

__all__ = ["describe"]


def describe(document: dict[str, Any]) -> dict[str, Any]:
    """Describe the source that a ``[data]`` table names, as plain data.

    Raises
    ------
    InvalidArgumentError
        A key or a value of the table is wrong.
    DataError
        Something in the source does not fit; file, row, column and fix are named.
    """
    try:
        settings = DataSettings.model_validate(document)
    except ValidationError as error:
        raise InvalidArgumentError(f"data: {explain(error, DataSettings)}") from error
    prepared = prepare(settings.path, settings.columns, settings.on_error)
    table, left_out = prepared.table, prepared.left_out
    fits = table.num_atoms <= settings.max_atoms
    counts, many = np.unique(table.num_atoms[fits], return_counts=True)
    parts, of_part = np.unique(prepared.splits[fits], return_counts=True)
    return {
        "source": str(prepared.path),
        "crystals": len(table) + sum(left_out.counts.values()),
        "max_atoms": settings.max_atoms,
        "fit": int(fits.sum()),
        "left_out": {
            reason: {"count": count, "example": left_out.examples[reason]}
            for reason, count in left_out.counts.items()
        }
        | _too_large(table.ids, fits, settings.max_atoms),
        "parts": {str(p): int(n) for p, n in zip(parts, of_part, strict=True) if p},
        "atom_counts": {str(c): int(n) for c, n in zip(counts, many, strict=True)},
        "elements": [SYMBOLS[z] for z in np.unique(table.numbers[np.repeat(fits, table.num_atoms)])],
        "columns": {name: _figures(values[fits]) for name, values in table.scalars.items()},
        "texts": list(prepared.texts),
    }


def _too_large(ids: NDArray[np.str_], fits: NDArray[np.bool_], max_atoms: int) -> dict[str, Any]:
    if fits.all():
        return {}
    return {
        f"of more than {max_atoms} atoms": {"count": int((~fits).sum()), "example": str(ids[np.argmin(fits)])}
    }


def _figures(values: NDArray[np.float32]) -> dict[str, float | int | None]:
    finite = values[np.isfinite(values)].astype(float)
    if not len(finite):
        return {"labelled": 0, "mean": None, "std": None, "min": None, "max": None}
    return {
        "labelled": len(finite),
        "mean": float(finite.mean()),
        "std": float(finite.std()),
        "min": float(finite.min()),
        "max": float(finite.max()),
    }
