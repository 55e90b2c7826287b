"""What is computed in one description of a crystal is told in any other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from oracle_svc.crystals.canonical import canonical_form
from oracle_svc.crystals.placement import Placement
from tests.unit.oracle_svc.specimens import diamond, perovskite, salt
from xenolith.crystal import Crystal


def test_a_crystal_that_does_not_change_comes_back_as_it_was_sent(
    random_crystal: Callable[[np.random.Generator], Crystal], redescribe: Callable[..., Crystal]
) -> None:
    rng = np.random.default_rng(5)
    originals = [salt(), perovskite(), diamond(), *(random_crystal(rng) for _ in range(40))]
    for number, original in enumerate(originals):
        form = canonical_form(original)
        for mirror in (False, True):
            sent = redescribe(original, rng, mirror=mirror)
            back = Placement.of(sent, form).crystal(form.lattice, form.frac_coords, sent.numbers)
            np.testing.assert_allclose(back.lattice, sent.lattice, atol=1e-3, err_msg=str(number))
            gaps = (back.frac_coords - sent.frac_coords) @ sent.lattice
            assert np.abs(gaps).max() < 1e-3, number
            np.testing.assert_array_equal(back.numbers, sent.numbers)


def test_vectors_and_strains_turn_with_the_crystal(redescribe: Callable[..., Crystal]) -> None:
    rng = np.random.default_rng(6)
    form = canonical_form(perovskite())
    strain = np.eye(3) + 0.05 * rng.normal(size=(3, 3))
    sent = redescribe(perovskite(), rng)
    place = Placement.of(sent, form)
    changed = place.crystal(form.lattice @ strain, form.frac_coords, sent.numbers)
    assert changed.volume / sent.volume == pytest.approx(abs(np.linalg.det(strain)))
    pull = rng.normal(size=(len(form.numbers), 3))
    forces = place.forces(pull)
    # Lengths are kept, and what acts on one atom of the cell acts on all its copies.
    copies = sent.num_atoms // len(form.numbers)
    assert (forces**2).sum() == pytest.approx(copies * (pull**2).sum())
    stress = place.stress(np.diag([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(np.linalg.eigvalsh(stress), [1, 2, 3], atol=1e-9)


def test_another_crystal_is_refused() -> None:
    with pytest.raises(ValueError, match="not the one"):
        Placement.of(diamond(), canonical_form(salt()))
