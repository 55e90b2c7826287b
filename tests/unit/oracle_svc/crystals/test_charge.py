"""Charge neutrality is SMACT's own verdict."""

from __future__ import annotations

import numpy as np
from pymatgen.core import Composition
from smact.screening import smact_validity

from oracle_svc.crystals.charge import charge_neutral
from xenolith.elements import SYMBOLS


def test_verdicts_are_those_of_smact() -> None:
    rng = np.random.default_rng(0)
    verdicts = []
    for _ in range(600):
        elements = rng.choice(np.arange(1, 104), size=rng.integers(1, 5), replace=False)
        # Oxides and halides, or next to nothing would balance.
        elements = np.append(elements, rng.choice([8, 9, 16, 17])) if rng.random() < 0.7 else elements
        numbers = np.repeat(elements, rng.integers(1, 5, size=len(elements)))
        counts = {SYMBOLS[z]: int((numbers == z).sum()) for z in set(numbers.tolist())}
        verdicts.append(charge_neutral(numbers))
        assert verdicts[-1] is smact_validity(Composition(counts)), counts
    assert {True, False} == set(verdicts)


def test_of_more_elements_or_unknown_ones_nothing_is_said() -> None:
    assert charge_neutral(np.arange(3, 10)) is None
    assert charge_neutral(np.array([8, 104])) is None
    assert charge_neutral(np.array([], dtype=int)) is None
