"""The contract's conditions to tensors, checked against what a denoiser has learnt.

Generator and trainer both read conditions here, so that both evaluate the denoiser on the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from generator_svc.networks.conditions import Conditions, ConditionsConfig
from xenolith.elements import SYMBOLS
from xenolith.errors import invalid_field
from xenolith.v1 import generator_pb2

__all__ = ["check_conditions", "fitting_atom_counts", "formula", "wanted_conditions"]

_TOLERANCE = 0.02
"""How far an element may be from a whole number of atoms in a cell; for ratios such as 0.33 to 0.67."""
_LARGEST_DEVIATION = 10.0
"""Scalars beyond this many deviations from the training mean are refused: the embedding saturates there."""


def check_conditions(
    conditions: Sequence[generator_pb2.Condition], config: ConditionsConfig | None, elements: Sequence[int]
) -> None:
    """Refuse what the denoiser has not learnt.

    Parameters
    ----------
    conditions
        Of a request.
    config
        Of the loaded denoiser; None: unconditional.
    elements
        Atomic numbers that can be generated.

    Raises
    ------
    InvalidArgumentError
        Names the field at fault, and what there is instead.
    """
    known = set(elements)
    for index, condition in enumerate(conditions):
        path = f"conditions[{index}]"
        _check_kinds(condition, path, config)
        for place, amount in enumerate(condition.composition):
            _check_element(amount.number, f"{path}.composition[{place}].number", known)
            if not (math.isfinite(amount.amount) and amount.amount > 0):
                raise invalid_field(
                    f"{path}.composition[{place}].amount", f"is {amount.amount}, must be above 0"
                )
        numbers = [amount.number for amount in condition.composition]
        if len(set(numbers)) < len(numbers):
            raise invalid_field(f"{path}.composition", "names an element twice; add its amounts up")
        for place, number in enumerate(condition.chemical_system):
            _check_element(number, f"{path}.chemical_system[{place}]", known)
        outside = set(numbers) - set(condition.chemical_system)
        if condition.chemical_system and outside:
            raise invalid_field(
                f"{path}.composition", f"has {SYMBOLS[min(outside)]}, which chemical_system leaves out"
            )


def fitting_atom_counts(condition: generator_pb2.Condition, max_atoms: int) -> list[int]:
    """Atom counts up to `max_atoms` that hold the composition exactly: multiples of its reduced formula."""
    counts = range(1, max_atoms + 1)
    if not condition.composition:
        return list(counts)
    return [count for count in counts if _whole_amounts(condition, count) is not None]


def formula(condition: generator_pb2.Condition) -> str:
    """The composition as it was asked for, such as Sr1Ti1O3."""
    return "".join(f"{SYMBOLS[amount.number]}{amount.amount:g}" for amount in condition.composition)


def wanted_conditions(
    conditions: Sequence[generator_pb2.Condition], num_atoms: Sequence[int], config: ConditionsConfig
) -> Conditions:
    """Tensors of checked conditions, one for each of the B samples.

    Raises
    ------
    InvalidArgumentError
        A composition is no whole number of atoms of each element in that sample's cell.
    """
    wanted = Conditions.none(len(num_atoms), config)
    names = [scalar.name for scalar in config.scalars]
    for row, (condition, count) in enumerate(zip(conditions, num_atoms, strict=True)):
        if condition.composition:
            amounts = _whole_amounts(condition, count)
            if amounts is None:
                raise invalid_field(
                    f"num_atoms[{row}]",
                    f"is {count}, which does not hold {formula(condition)} in whole atoms; leave num_atoms"
                    " out, and a multiple that fits is chosen",
                )
            for amount, atoms in zip(condition.composition, amounts, strict=True):
                wanted.composition[row, amount.number - 1] = atoms / count
        for number in condition.chemical_system:
            wanted.chemical_system[row, number - 1] = 1.0
        for name, value in condition.properties.items():
            wanted.scalars[row, names.index(name)] = value
    return wanted


def _check_kinds(condition: generator_pb2.Condition, path: str, config: ConditionsConfig | None) -> None:
    if config is None:
        if condition.composition or condition.chemical_system or condition.properties:
            raise invalid_field(
                path,
                "asks for something, but this bundle is unconditional; load one that has learnt conditions",
            )
        return
    learnt = f"this bundle has learnt {', '.join(config.kinds)}"
    if condition.composition and not config.composition:
        raise invalid_field(f"{path}.composition", f"cannot be asked for: {learnt}")
    if condition.chemical_system and not config.chemical_system:
        raise invalid_field(f"{path}.chemical_system", f"cannot be asked for: {learnt}")
    scalars = {scalar.name: scalar for scalar in config.scalars}
    for name, value in condition.properties.items():
        field = f"{path}.properties[{name!r}]"
        if name not in scalars:
            raise invalid_field(field, f"cannot be asked for: {learnt}")
        scalar = scalars[name]
        reach = _LARGEST_DEVIATION * scalar.std
        if not abs(value - scalar.mean) <= reach:  # written so that NaN fails too
            low, high = scalar.mean - reach, scalar.mean + reach
            raise invalid_field(
                field, f"is {value:g}, must be {low:.3g} to {high:.3g} {scalar.unit}".rstrip()
            )


def _check_element(number: int, field: str, known: set[int]) -> None:
    if number not in known:
        name = SYMBOLS[number] if 0 < number < len(SYMBOLS) else "no element"
        raise invalid_field(field, f"is {number} ({name}), which this bundle does not make")


def _whole_amounts(condition: generator_pb2.Condition, num_atoms: int) -> list[int] | None:
    amounts = np.array([amount.amount for amount in condition.composition])
    wanted = amounts / amounts.sum() * num_atoms
    whole = np.rint(wanted).astype(int)
    fits = whole.sum() == num_atoms and whole.min() >= 1 and np.abs(wanted - whole).max() <= _TOLERANCE
    return whole.tolist() if fits else None
