"""The validator lets good calculators pass, and tells what is wrong with each bad one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from oracle_svc.calculators import open_calculator
from oracle_svc.calculators.base import Calculator, Evaluation
from oracle_svc.calculators.validation.probes import probes
from oracle_svc.calculators.validation.validate import main, validate_calculator
from oracle_svc.status import Status
from xenolith.crystal import CrystalBatch

EMT: dict[str, Any] = {
    "factory": "ase.calculators.emt:EMT", "id": "emt", "elements": ["Cu", "Au", "Al", "Ni"],
}  # fmt: skip
Change = Callable[[CrystalBatch, Evaluation], Evaluation]


class Changed:
    """A calculator that spoils the results of a good one."""

    def __init__(self, change: Change, **claims: Any) -> None:
        self._good = open_calculator("ase", **EMT)
        self._change = change
        self._claims = claims

    def __getattr__(self, name: str) -> Any:
        return self._claims[name] if name in self._claims else getattr(self._good, name)

    def evaluate(self, batch: CrystalBatch, *, with_forces: bool = False) -> Evaluation:
        return self._change(batch, self._good.evaluate(batch, with_forces=with_forces))


def energies(new: Callable[[CrystalBatch, np.ndarray], np.ndarray]) -> Change:
    return lambda batch, result: replace(result, energy_per_atom=new(batch, result.energy_per_atom))


def first_of_each(batch: CrystalBatch, column: np.ndarray) -> np.ndarray:
    padded = np.append(column.astype(float), 0.0)
    return np.where(batch.num_atoms > 0, padded[batch.offsets[:-1]], 0.0)


def scaled(name: str, factor: float) -> Change:
    def change(batch: CrystalBatch, result: Evaluation) -> Evaluation:
        value = getattr(result, name)
        assert len(result) == len(batch)
        return result if value is None else replace(result, **{name: value * factor})

    return change


def silent(_: CrystalBatch, result: Evaluation) -> Evaluation:
    return replace(result, messages=("",) * len(result.messages))


def writes_into(batch: CrystalBatch, result: Evaluation) -> Evaluation:
    column = batch.frac_coords
    column.setflags(write=True)
    column += 0.25
    return result


def moody() -> Change:
    rng = np.random.default_rng(0)
    return energies(lambda _, energy: energy + rng.normal(size=len(energy)))


def all_fail_with_one(batch: CrystalBatch, result: Evaluation) -> Evaluation:
    if set(result.statuses) <= {Status.OK}:
        return result
    failed = (Status.CALCULATOR_FAILED,) * len(batch)
    return replace(result, statuses=failed, messages=("batch failed",) * len(batch))


def raises(batch: CrystalBatch, result: Evaluation) -> Evaluation:
    if any(count == 0 for count in batch.num_atoms):
        raise IndexError("no atoms")
    return result


def accepts_hydrogen(_: CrystalBatch, result: Evaluation) -> Evaluation:
    refused = Status.UNSUPPORTED_ELEMENT
    statuses = tuple(Status.CALCULATOR_FAILED if s is refused else s for s in result.statuses)
    return replace(result, statuses=statuses)


def same(_: CrystalBatch, result: Evaluation) -> Evaluation:
    return result


SHAPES, BATCH, INVARIANCE, ISOLATION = (
    "shapes and types", "independence of the batch", "invariance", "isolation of failures",
)  # fmt: skip
BROKEN: dict[str, tuple[Change, dict[str, Any], str, str]] = {
    "batch size": (energies(lambda _, e: e + 0.01 * len(e)), {}, BATCH, "instead of alone"),
    "place": (energies(lambda _, e: e + 0.01 * np.arange(len(e))), {}, BATCH, "eV/atom, not"),
    "turn": (energies(lambda b, e: e + b.lattices[:, 0, 0]), {}, INVARIANCE, "rotated has"),
    "origin": (energies(lambda b, e: e + first_of_each(b, b.frac_coords[:, 0] % 1)), {}, INVARIANCE, "has"),
    "labels": (energies(lambda b, e: e + first_of_each(b, b.numbers)), {}, INVARIANCE, "relabelled has"),
    "total energy": (energies(lambda b, e: e * b.num_atoms), {}, INVARIANCE, "supercell has"),
    "moody": (moody(), {}, "determinism", "the same batch has"),
    "weak forces": (scaled("forces", 0.8), {}, "forces", "but the forces say"),
    "pressure for stress": (scaled("stress", -1.0), {}, "stress", "positive under tension?"),
    "stress in GPa": (scaled("stress", 160.2), {}, "stress", "times the volume, says"),
    "no forces": (lambda _, r: replace(r, forces=None), {}, SHAPES, "forces is NoneType"),
    "float32": (
        energies(lambda _, e: e.astype(np.float32)),
        {},
        SHAPES,
        "type float32, not (3,) and float64",
    ),
    "one fails all": (all_fail_with_one, {}, ISOLATION, "the neighbour of a structure"),
    "raises": (raises, {}, ISOLATION, "it raised IndexError: no atoms"),
    "silent": (silent, {}, ISOLATION, "without a message"),
    "invents": (energies(lambda _, e: np.nan_to_num(e)), {}, ISOLATION, "has an energy"),
    "writes": (writes_into, {}, "inputs left alone", "writes into the batch's frac_coords"),
    "claims too much": (same, {"elements": frozenset({29, 79, 13, 28, 92})}, "elements", "claims element 92"),
    "claims too little": (accepts_hydrogen, {}, "elements", "element 1 is not among its elements"),
    "no digest": (same, {"settings_digest": "v1"}, "identity", "'v1' is no SHA-256"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named(name: str) -> None:
    change, claims, check, reason = BROKEN[name]
    report = validate_calculator(Changed(change, **claims))
    assert not report.passed
    assert check in report.problems, str(report)
    assert reason in report.problems[check]
    assert f"FAILED  {check}: " in str(report)


def test_a_good_calculator_passes() -> None:
    report = validate_calculator(open_calculator("ase", **EMT))
    assert report.passed, str(report)
    assert len(report.findings) == 10


def test_chgnet_passes() -> None:
    calculator: Calculator = open_calculator("chgnet")
    report = validate_calculator(calculator)
    assert report.passed, str(report)


def test_crystals_may_be_chosen() -> None:
    calculator = open_calculator("ase", **EMT)
    chosen = probes(frozenset({79}), np.random.default_rng(1))
    assert validate_calculator(calculator, crystals=chosen).passed


def test_the_command_says_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    assert main(["ase", "--settings", json.dumps(EMT)]) == 0
    assert "ok      forces" in capsys.readouterr().out
    wrong = json.dumps({**EMT, "elements": ["Cu", "U"]})
    assert main(["ase", "--settings", wrong]) == 1
    assert "FAILED" in capsys.readouterr().out
