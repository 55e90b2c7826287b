from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher

from oracle_svc.known.novelty.matcher import MatcherOptions, PairMatcher, Verdict
from oracle_svc.known.novelty.sameness import matched_pairs
from oracle_svc.pools.worker_pool import WorkerStoppedError
from oracle_svc.status import Status
from xenolith.convert import to_pymatgen
from xenolith.crystal import Crystal

FCC = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def salt(a: float = 5.64, shift: float = 0.5) -> Crystal:
    return Crystal(
        lattice=np.eye(3) * a, numbers=[11] * 4 + [17] * 4, frac_coords=np.concatenate([FCC, FCC + shift])
    )


def endless(seed: int) -> Crystal:
    """A needle of a cell, on which the matcher's search for lattices has no end in sight."""
    lattice = np.array([[0.1, 0.0, 0.0], [0.05, 60.0, 0.0], [0.03, 0.1, 60.0]])
    frac = np.random.default_rng(seed).random((40, 3))
    return Crystal(lattice=lattice, numbers=[11] * 20 + [17] * 20, frac_coords=frac)


@pytest.fixture(scope="module")
def matcher():
    pairs = PairMatcher(workers=1, pair_limit_s=2.0)
    yield pairs
    pairs.close()


def test_verdicts(matcher):
    pairs = [(salt(), salt(5.7)), (salt(), salt(shift=0.25)), (salt(), salt())]
    assert matcher.verdicts(pairs, MatcherOptions()) == [Verdict.SAME, Verdict.DIFFERENT, Verdict.SAME]


def disturbed(seed: int) -> tuple[Crystal, Crystal]:
    """Two crystals that part from one by about the tolerances."""
    chance = np.random.default_rng(seed)
    base = chance.random((3, 3))
    lattice = np.diag([5.3, 3.6, 3.6]) + chance.normal(scale=0.6, size=(3, 3))
    pair = [
        Crystal(
            lattice=lattice * (1 + chance.normal(scale=0.06, size=(3, 1))),
            numbers=[22, 8, 8],
            frac_coords=base + chance.normal(scale=0.07, size=(3, 3)),
        )
        for _ in range(2)
    ]
    return pair[0], pair[1]


def test_a_verdict_does_not_depend_on_which_crystal_comes_first(matcher):
    pairs = [disturbed(seed) for seed in range(150)]
    forward = matcher.verdicts(pairs, MatcherOptions())
    assert forward == matcher.verdicts([(b, a) for a, b in pairs], MatcherOptions())
    assert {Verdict.SAME, Verdict.DIFFERENT} <= set(forward)
    # Among these pairs are some on which StructureMatcher itself says two things.
    fit = StructureMatcher().fit
    assert any(fit(to_pymatgen(a), to_pymatgen(b)) != fit(to_pymatgen(b), to_pymatgen(a)) for a, b in pairs)


def test_tolerances_are_obeyed(matcher):
    strained = Crystal(
        lattice=salt().lattice @ np.diag([1.0, 1.0, 1.1]),
        numbers=salt().numbers,
        frac_coords=salt().frac_coords,
    )
    pair = [(salt(), strained)]
    assert matcher.verdicts(pair, MatcherOptions()) == [Verdict.SAME]
    assert matcher.verdicts(pair, MatcherOptions(length_tolerance=0.02)) == [Verdict.DIFFERENT]


def test_a_pair_that_hangs_or_raises_is_typed_and_the_next_one_is_judged(matcher):
    singular = Crystal(lattice=np.ones((3, 3)), numbers=[11, 17], frac_coords=[[0, 0, 0], [0.5, 0.5, 0.5]])
    nan = Crystal(lattice=np.full((3, 3), np.nan), numbers=[11, 17], frac_coords=np.zeros((2, 3)))
    pairs = [(endless(0), endless(1)), (salt(), salt()), (singular, singular), (nan, nan), (salt(), salt())]
    verdicts = matcher.verdicts(pairs, MatcherOptions())
    assert verdicts[0] is Verdict.TIMEOUT
    assert verdicts[1] is verdicts[4] is Verdict.SAME
    assert verdicts[2] in {Verdict.FAILED, Verdict.TIMEOUT}
    assert verdicts[3] in {Verdict.FAILED, Verdict.TIMEOUT}


def test_no_pairs_need_no_process(matcher):
    assert matcher.verdicts([], MatcherOptions()) == []


def test_it_can_be_stopped(matcher):
    with pytest.raises(WorkerStoppedError):
        matcher.verdicts([(endless(0), endless(1))], MatcherOptions(), stop=lambda: True)


def test_joined_pairs_are_not_compared_and_open_ones_are_told(matcher):
    crystals = {i: salt(5.6 + i / 100) for i in range(8)} | {
        8: endless(0),
        9: endless(1),
        10: salt(shift=0.25),
    }
    formulas = {i: "NaCl" for i in crystals if i not in {8, 9}} | {8: "NaCl needle", 9: "NaCl needle"}
    same, undecided = matched_pairs(crystals, formulas, partial(matcher.verdicts, options=MatcherOptions()))
    assert len(same) < 28
    assert {i for pair in same for i in pair} == set(range(8))
    assert {i: outcome.status for i, outcome in undecided.items()} == {8: Status.TIMEOUT, 9: Status.TIMEOUT}
    assert "against structure 9" in undecided[8].message
