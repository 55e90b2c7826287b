"""Scores as flat tables: one row per structure, in CSV, parquet or JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xenolith.client import Score
from xenolith.contract.columns import NUMBERS
from xenolith.errors import InvalidArgumentError
from xenolith.files import without_nan, write_bytes
from xenolith.headlines import ColumnTable
from xenolith.optional import require

__all__ = ["TABLE_SUFFIXES", "columns_of", "table_rows", "write_table"]

TABLE_SUFFIXES = (".csv", ".parquet", ".json")
"""Kinds of table, by the suffix of the file."""
_ARRAYS = ("amd", "embedding", "forces", "stress")


def columns_of(scores: Sequence[Score]) -> ColumnTable:
    """Return the numbers of B scores as columns of (B,) float64, truths as 0 and 1, NaN where absent."""
    values = {
        name: np.array([np.nan if (value := getattr(s, name)) is None else float(value) for s in scores])
        for name in NUMBERS
    }
    return ColumnTable(size=len(scores), values=values)


def table_rows(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Return one flat mapping per structure, every row with the same keys.

    Nested values become ``relaxation.e_above_hull``, ``properties.band_gap``,
    ``audits.CALCULATOR.e_above_hull`` and ``components.STABILITY``; lists of phases become JSON text; arrays
    are left out.
    """
    rows = [_flat(score.to_dict()) for score in scores]
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return [{key: row.get(key) for key in keys} for row in rows]


def write_table(path: Path, scores: Sequence[Score]) -> None:
    """Write a table of the kind that the file's suffix names, replacing the file at once.

    Raises
    ------
    InvalidArgumentError
        For any other suffix.
    """
    if path.suffix == ".json":
        data = json.dumps(without_nan([score.to_dict() for score in scores]), indent=2, allow_nan=False)
        write_bytes(path, (data + "\n").encode())
    elif path.suffix in TABLE_SUFFIXES:
        pandas: Any = require("pandas", "oracle")
        frame = pandas.DataFrame(table_rows(scores)).convert_dtypes()
        text = frame.to_csv(index=False).encode() if path.suffix == ".csv" else frame.to_parquet(index=False)
        write_bytes(path, text)
    else:
        raise InvalidArgumentError(
            f"{path}: write scores to a file named *{', *'.join(TABLE_SUFFIXES)} or *.html"
        )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, value in values.items():
        if key in _ARRAYS or (prefix == "relaxation." and key == "crystal"):
            continue
        if key == "audits":
            for audit in value:
                row |= _flat(audit, f"audits.{audit['calculator_id']}.")
        elif isinstance(value, Mapping):
            row |= _flat(value, f"{prefix}{key}.")
        elif key == "notes":
            row[key] = "; ".join(value) or None
        elif isinstance(value, list | tuple):
            row[f"{prefix}{key}"] = json.dumps(value) if value else None
        else:
            row[f"{prefix}{key}"] = value
    return row
