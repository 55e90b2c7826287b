"""Checks that every calculator must pass, one function for each.

A check raises `CalculatorUnfitError`, which says what is wrong in words for whoever wrote the calculator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle_svc.calculators.validation.bench import Bench, CalculatorUnfitError, demand
from oracle_svc.calculators.validation.derivative_checks import check_forces, check_stress
from oracle_svc.calculators.validation.probes import (
    bad_crystals,
    descriptions,
    element_crystal,
    uncovered_element,
)
from oracle_svc.status import Status
from xenolith.crystal import CrystalBatch

__all__ = ["CHECKS"]

_DIGEST_LENGTH = 64
_FEW_ELEMENTS = 8


def check_identity(bench: Bench) -> None:
    """Names, elements and digest are what the protocol says."""
    calculator = bench.calculator
    for name in ("id", "version", "scheme", "licence", "settings_digest"):
        demand(isinstance(getattr(calculator, name), str), f"{name} is no string")
    demand(bool(calculator.id), "id is empty")
    digest = calculator.settings_digest
    whole = len(digest) == _DIGEST_LENGTH and not set(digest) - set("0123456789abcdef")
    demand(whole, f"settings_digest {digest!r} is no SHA-256 in hexadecimal digits")
    elements = calculator.elements
    real = isinstance(elements, frozenset) and bool(elements) and elements <= frozenset(range(1, 119))
    demand(real, "elements is no frozenset of atomic numbers from 1 to 118")
    demand(
        isinstance(calculator.offers_forces, bool) and isinstance(calculator.offers_stress, bool),
        "offers_forces and offers_stress are not both True or False",
    )


def check_shapes(bench: Bench) -> None:
    """Arrays have the shapes and types that the protocol says, with and without forces."""
    crystals, calculator = bench.crystals, bench.calculator
    total = sum(crystal.num_atoms for crystal in crystals)
    for asked in (False, True):
        result = bench.evaluate(*crystals, with_forces=asked)
        count, size = len(crystals), calculator.embedding_size
        _demand_array(result.energy_per_atom, "energy_per_atom", (count,), np.float64)
        demand(len(result.statuses) == len(result.messages) == count, f"not {count} statuses and messages")
        demand(all(isinstance(s, Status) for s in result.statuses), "a status is no Status")
        if size:
            _demand_array(result.embeddings, "embeddings", (count, size), np.float32)
        else:
            demand(result.embeddings is None, "embedding_size is 0, but there are embeddings")
        if asked and calculator.offers_forces:
            _demand_array(result.forces, "forces", (total, 3), np.float64)
        if asked and calculator.offers_stress:
            stress = result.stress
            _demand_array(stress, "stress", (count, 3, 3), np.float64)
            asymmetry = 0.0 if stress is None else float(np.abs(stress - stress.transpose(0, 2, 1)).max())
            demand(asymmetry < 1e-8, f"the stress is not symmetric, by {asymmetry:.2g} eV/A^3")
    demand(len(bench.evaluate()) == 0, "a batch without structures has results")


def check_determinism(bench: Bench) -> None:
    """The same batch gives the same energies again."""
    first, second = bench.energies(*bench.crystals), bench.energies(*bench.crystals)
    _demand_close(bench, second, first, "evaluated again, the same batch")
    if bench.calculator.offers_forces:
        energies = bench.evaluate(*bench.crystals, with_forces=True).energy_per_atom
        _demand_close(bench, energies, first, "evaluated with forces, the batch")


def check_batches(bench: Bench) -> None:
    """A structure's energy depends neither on its neighbours in the batch nor on its place there."""
    alone = np.array([bench.energies(crystal)[0] for crystal in bench.crystals])
    _demand_close(bench, bench.energies(*bench.crystals), alone, "evaluated together instead of alone, it")
    backwards = bench.energies(*bench.crystals[::-1])[::-1]
    _demand_close(bench, backwards, alone, "evaluated in reverse order, it")


def check_descriptions(bench: Bench) -> None:
    """The same crystal in other words has the same energy per atom, and forces that go with it."""
    for crystal in bench.crystals:
        expected = bench.energies(crystal)
        for name, other in descriptions(crystal, bench.rng).items():
            _demand_close(bench, bench.energies(other), expected, f"{crystal!r} {name}")


def check_isolation(bench: Bench) -> None:
    """Check that a structure that cannot be evaluated says so, and its neighbours keep their energies."""
    good = bench.crystals[0]
    expected = bench.energies(good)[0]
    bad = bad_crystals(good, uncovered_element(bench.calculator.elements))
    crystals = [good]
    for crystal in bad.values():
        crystals += [crystal, good]
    result = bench.evaluate(*crystals)
    for place, name in enumerate(bad):
        neighbour, position = 2 * place + 2, 2 * place + 1
        status, message = result.statuses[position], result.messages[position]
        demand(status is not Status.OK, f"a structure {name} has the status OK")
        demand(bool(message), f"a structure {name} fails without a message")
        demand(bool(np.isnan(result.energy_per_atom[position])), f"a structure {name} has an energy")
        demand(
            result.statuses[neighbour] is Status.OK,
            f"the neighbour of a structure {name} fails: {result.messages[neighbour]}",
        )
    _demand_close(
        bench, result.energy_per_atom[::2], np.full(len(bad) + 1, expected), "beside bad structures, it"
    )


def check_inputs(bench: Bench) -> None:
    """The batch that was given is left as it was."""
    batch = CrystalBatch.from_crystals(bench.crystals)
    before = {name: column.copy() for name, column in _columns(batch).items()}
    bench.calculator.evaluate(batch, with_forces=bench.calculator.offers_forces)
    for name, column in _columns(batch).items():
        demand(np.array_equal(column, before[name]), f"it writes into the batch's {name}")


def check_elements(bench: Bench) -> None:
    """Elements that it claims are evaluated, others are refused as such."""
    elements = bench.calculator.elements
    stranger = uncovered_element(elements)
    status = bench.evaluate(
        replace(bench.crystals[0], numbers=np.full(bench.crystals[0].num_atoms, stranger))
    )
    demand(
        status.statuses[0] is Status.UNSUPPORTED_ELEMENT,
        f"element {stranger} is not among its elements, but the status is {status.statuses[0].name}",
    )
    some = bench.rng.permutation(sorted(elements))[:_FEW_ELEMENTS].tolist()
    result = bench.evaluate(*(element_crystal(number) for number in some))
    for number, found in zip(some, result.statuses, strict=True):
        demand(found is not Status.UNSUPPORTED_ELEMENT, f"it claims element {number}, and then refuses it")


CHECKS: dict[str, Callable[[Bench], None]] = {
    "identity": check_identity,
    "shapes and types": check_shapes,
    "determinism": check_determinism,
    "independence of the batch": check_batches,
    "invariance": check_descriptions,
    "forces": check_forces,
    "stress": check_stress,
    "isolation of failures": check_isolation,
    "inputs left alone": check_inputs,
    "elements": check_elements,
}


def _columns(batch: CrystalBatch) -> dict[str, NDArray[np.generic]]:
    return {name: getattr(batch, name) for name in ("num_atoms", "lattices", "numbers", "frac_coords")}


def _demand_array(value: Any, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    if not isinstance(value, np.ndarray):  # noqa: TID251
        raise CalculatorUnfitError(f"{name} is {type(value).__name__}, not an array of shape {shape}")
    if value.shape != shape or value.dtype != dtype:
        raise CalculatorUnfitError(
            f"{name} has shape {value.shape} and type {value.dtype}, not {shape} and {np.dtype(dtype)}"
        )


def _demand_close(bench: Bench, found: NDArray[np.float64], expected: NDArray[np.float64], what: str) -> None:
    for place, difference in enumerate(np.abs(found - expected).tolist()):
        if not difference <= bench.energy_tolerance * max(1.0, abs(float(expected[place]))):
            raise CalculatorUnfitError(
                f"{what} has {found[place]:.7g} eV/atom, not {expected[place]:.7g} (structure {place})"
            )
