"""Training a property on a table of structures: `python -m oracle_svc.properties.train --help`.

Any numeric column will do. The embeddings are those of the oracle's calculator, taken from a reference where
it has the structure and computed otherwise; rows without a value are left out. The result is judged on the
test split against the mean of the training data and against the same predictor without embeddings.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from oracle_svc.calculators import open_calculator
from oracle_svc.calculators.base import Calculator
from oracle_svc.properties.dataset import Labelled, read_labelled
from oracle_svc.properties.features import composition_features, element_table
from oracle_svc.properties.fitting import FitSettings, fit
from oracle_svc.properties.trained import FORMAT, TrainedProperty, forward, read_trained
from xenolith.bundle import sha256

__all__ = ["TrainPlan", "main", "train"]

_ZEROS_FOR_A_GATE = 0.05
"""Share of exact zeros from which on a gate is worth its place."""
_GATE_AT = 0.5
"""The median is zero if more than half of the probability is: what a mean absolute error asks for."""


@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """Target, data and options of a property's training."""

    table: Path
    """Parquet: material_id, lattice, numbers, frac, the column, and perhaps a split."""
    column: str
    name: str
    unit: str
    description: str
    out: Path
    """Folder of the two files."""
    reference: Path | None = None
    """Reference whose embeddings are used for the structures that it has."""
    split_column: str = ""
    """Column of train, val and test; empty: by formula, 80, 10 and 10 %."""
    licence: str = ""
    attribution: str = ""
    fit: FitSettings = field(default_factory=FitSettings)


def train(plan: TrainPlan, calculator: Calculator, *, quiet: bool = True) -> TrainedProperty:
    """Train, judge, write; returns the property as it reads back.

    Raises
    ------
    ValueError
        The table lacks the column, a split is empty, or the calculator gives no embeddings.
    """
    data = read_labelled(
        plan.table,
        plan.column,
        calculator,
        reference=plan.reference,
        split_column=plan.split_column,
        seed=plan.fit.seed,
    )
    table = element_table()
    composition = composition_features(data.crystals, table)
    features = np.hstack([data.embeddings.astype(np.float64), composition])
    gated = bool((data.values[data.train] == 0).mean() > _ZEROS_FOR_A_GATE and data.values.min() >= 0)

    gate_at = _GATE_AT if gated else None

    def fitted(rows: NDArray[np.float64]) -> dict[str, NDArray[np.floating]]:
        report = None if quiet else _report
        return fit(rows[data.train], data.values[data.train], plan.fit, gated=gated, progress=report)

    tensors, baseline = fitted(features), fitted(composition)
    without = _figures(_predicted(baseline, composition[data.test], gate_at), data)
    return _write(plan, calculator, data, {**tensors, "element_table": table}, gate_at, without["mae"])


def _predicted(
    tensors: dict[str, NDArray[np.floating]], features: NDArray[np.float64], gate_at: float | None
) -> NDArray[np.float64]:
    outputs = forward(_single(tensors), features, gated=gate_at is not None)
    values = outputs.values.mean(axis=0)
    if outputs.gate is None or gate_at is None:
        return np.asarray(values)
    return np.where(outputs.gate.mean(axis=0) > gate_at, values, 0.0)


def _single(tensors: dict[str, NDArray[np.floating]]) -> dict[str, NDArray[np.float32]]:
    return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}


def _figures(predicted: NDArray[np.float64], data: Labelled) -> dict[str, Any]:
    truth, known = data.values[data.test], data.values[data.train]
    error = np.abs(predicted - truth)
    figures: dict[str, Any] = {
        "count": len(truth),
        "mae": float(error.mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "mae_of_mean": float(np.abs(truth - known.mean()).mean()),
        "mae_of_median": float(np.abs(truth - np.median(known)).mean()),
    }
    if (truth == 0).any() and (truth != 0).any():
        figures["mae_where_not_zero"] = float(error[truth != 0].mean())
        figures["zero_or_not_right"] = float(((predicted == 0) == (truth == 0)).mean())
    return figures


def _write(
    plan: TrainPlan,
    calculator: Calculator,
    data: Labelled,
    tensors: dict[str, NDArray[np.floating]],
    gate_at: float | None,
    mae_of_composition: float,
) -> TrainedProperty:
    """Write both files; what is judged is what reads back."""
    plan.out.mkdir(parents=True, exist_ok=True)
    weights = plan.out / f"{plan.name}.safetensors"
    save_file(tensors, weights)
    info: dict[str, Any] = {
        "format": FORMAT,
        "name": plan.name,
        "unit": plan.unit,
        "description": plan.description or f"{plan.column} of {plan.table.name}",
        "members": plan.fit.members,
        "gate_at": gate_at,
        "weights": {"sha256": sha256(weights), "bytes": weights.stat().st_size},
        "calculator": {
            "id": calculator.id,
            "settings_digest": calculator.settings_digest,
            "embedding_size": calculator.embedding_size,
        },
        "data": {
            "file": plan.table.name,
            "sha256": sha256(plan.table),
            "column": plan.column,
            "split": plan.split_column or "by formula",
            "train": int(data.train.sum()),
            "val": int(data.val.sum()),
            "test": int(data.test.sum()),
            "licence": plan.licence,
            "attribution": plan.attribution,
        },
        "fit": vars(plan.fit),
    }
    rows = np.flatnonzero(data.test)
    written = TrainedProperty(info, load_file(weights))
    predicted = written.predict(data.crystals.take(rows), data.embeddings[rows])
    info["test"] = {**_figures(predicted, data), "mae_of_composition_alone": mae_of_composition}
    manifest = plan.out / f"{plan.name}.json"
    manifest.write_text(json.dumps(info, indent=1) + "\n", "utf-8")
    return read_trained(manifest)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a property from the command line."""
    parser = argparse.ArgumentParser(prog="python -m oracle_svc.properties.train", description=__doc__)
    parser.add_argument(
        "table", type=Path, help="parquet: material_id, lattice, numbers, frac and the column"
    )
    parser.add_argument(
        "--column", required=True, help="numeric column to learn; rows without it are left out"
    )
    parser.add_argument("--name", help="name of the property (default: the column)")
    parser.add_argument("--unit", default="", help="its unit, such as eV")
    parser.add_argument("--description", default="", help="what it is, in half a sentence")
    parser.add_argument("--out", type=Path, required=True, help="folder of NAME.json and NAME.safetensors")
    parser.add_argument("--reference", type=Path, help="reference folder that has embeddings of these ids")
    parser.add_argument("--split-column", default="", help="column that says train, val or test")
    parser.add_argument("--calculator", default="chgnet", help="calculator of the embeddings")
    parser.add_argument("--licence", default="", help="licence of the data")
    parser.add_argument("--attribution", default="", help="whom to name")
    defaults = FitSettings()
    for name in ("members", "hidden", "epochs", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(defaults, name))
    given = parser.parse_args(arguments)
    plan = TrainPlan(
        table=given.table,
        column=given.column,
        name=given.name or given.column,
        unit=given.unit,
        description=given.description,
        out=given.out,
        reference=given.reference,
        split_column=given.split_column,
        licence=given.licence,
        attribution=given.attribution,
        fit=FitSettings(members=given.members, hidden=given.hidden, epochs=given.epochs, seed=given.seed),
    )
    trained = train(plan, open_calculator(given.calculator), quiet=False)
    sys.stderr.write(f"{trained.description}\n{json.dumps(trained.info['test'], indent=1)}\n")
    return 0


def _report(done: int, total: int) -> None:
    if done % 10 == 0 or done == total:
        sys.stderr.write(f"epoch {done} of {total}\n")


if __name__ == "__main__":
    sys.exit(main())
