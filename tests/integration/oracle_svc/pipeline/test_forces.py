"""Relaxation and forces through the pipeline: in worker processes, the cache, and everybody's own cell."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest

from oracle_svc.pipeline.results import Component, ScoreOptions
from oracle_svc.pools.worker_pool import WorkerStoppedError
from oracle_svc.relaxation import RelaxSettings
from oracle_svc.status import Status
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.errors import FailedPreconditionError

STABILITY = frozenset({Component.VALIDITY, Component.STABILITY})
RELAX = ScoreOptions(components=STABILITY, relax=RelaxSettings(fmax=0.1, max_steps=60), return_relaxed=True)
FORCES = ScoreOptions(components=STABILITY, return_forces=True)


def never() -> bool:
    return False


def pack(*crystals: Crystal) -> CrystalBatch:
    return CrystalBatch.from_crystals(crystals)


def rattled(crystal: Crystal, seed: int = 0) -> Crystal:
    rng = np.random.default_rng(seed)
    return Crystal(
        lattice=crystal.lattice @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3))),
        numbers=crystal.numbers,
        frac_coords=crystal.frac_coords + 0.01 * rng.normal(size=crystal.frac_coords.shape),
    )


def test_raw_and_relaxed_values_stand_side_by_side(make_scorer, crystals):
    scorer = make_scorer()
    batch = pack(rattled(crystals["NaCl-rocksalt"]), rattled(crystals["SrTiO3"]))
    scored = scorer.score(batch, RELAX, stop=never)
    for given, score in zip(batch, scored.scores, strict=True):
        relaxation = score.relaxation
        assert score.verdict.status is Status.OK
        assert relaxation.outcome.status is Status.OK and relaxation.outcome.converged
        assert 0 < relaxation.outcome.steps <= 60
        assert relaxation.outcome.energy_per_atom < score.energy_per_atom - 0.01
        assert relaxation.e_above_hull == pytest.approx(
            score.e_above_hull + relaxation.outcome.energy_per_atom - score.energy_per_atom, abs=1e-6
        )
        assert relaxation.crystal.volume / given.volume == pytest.approx(
            relaxation.outcome.volume_ratio, rel=1e-6
        )
    assert scored.scores[0].relaxation.e_above_hull < 0.02
    plain = scorer.score(batch, ScoreOptions(components=STABILITY), stop=never)
    assert plain.provenance.settings_digest != scored.provenance.settings_digest
    assert plain.scores[0].relaxation is None


def test_the_relaxed_crystal_comes_in_the_cell_that_was_sent(make_scorer, crystals, calculators, redescribe):
    rng = np.random.default_rng(1)
    shaken = rattled(crystals["SrTiO3"])
    described = [shaken, redescribe(shaken, rng), redescribe(shaken, rng)]
    scorer = make_scorer()
    first = scorer.score(pack(*described[:2]), RELAX, stop=never)
    again = scorer.score(pack(*described[1:]), RELAX, stop=never)
    assert first.stats.calculator_calls == 1 and again.stats.calculator_calls == 0
    for given, score in zip([*described[:2], *described[1:]], [*first.scores, *again.scores], strict=True):
        relaxed = score.relaxation.crystal
        np.testing.assert_array_equal(relaxed.numbers, given.numbers)
        # It is close to what was sent, atom by atom ...
        moved = (relaxed.frac_coords - given.frac_coords) @ given.lattice
        moved -= moved.mean(axis=0)
        assert np.linalg.norm(moved, axis=1).max() < 0.3
        assert np.abs(np.linalg.solve(given.lattice, relaxed.lattice) - np.eye(3)).max() < 0.2
        # ... and has the energy that is told.
        measured = calculators.evaluate(pack(relaxed)).energy_per_atom[0]
        assert measured == pytest.approx(score.relaxation.outcome.energy_per_atom, abs=1e-4)


def test_forces_are_those_on_the_atoms_that_were_sent(make_scorer, crystals, calculators, redescribe):
    rng = np.random.default_rng(2)
    shaken = rattled(crystals["SrTiO3"])
    batch = pack(shaken, redescribe(shaken, rng), rattled(crystals["NaCl-rocksalt"]))
    scorer = make_scorer()
    expected = calculators.evaluate(batch, with_forces=True)
    for _ in range(2):  # computed, then from the cache
        scored = scorer.score(batch, FORCES, stop=never)
        for index, score in enumerate(scored.scores):
            forces = expected.forces[batch.offsets[index] : batch.offsets[index + 1]]
            np.testing.assert_allclose(score.forces, forces, atol=2e-3)
            np.testing.assert_allclose(score.stress, expected.stress[index], atol=1e-4)
    assert np.abs(expected.forces).max() > 0.5


def test_a_relaxation_without_success_leaves_the_raw_values(make_scorer, crystals):
    few = ScoreOptions(components=STABILITY, relax=RelaxSettings(fmax=1e-4, max_steps=2), return_relaxed=True)
    overlapping = Crystal(
        lattice=5 * np.eye(3), numbers=np.array([11, 17]), frac_coords=np.array([[0, 0, 0], [0, 0, 0.01]])
    )
    batch = pack(rattled(crystals["NaCl-rocksalt"]), overlapping)
    scored = make_scorer().score(batch, few, stop=never)
    score = scored.scores[0]
    assert score.verdict.status is Status.OK and score.e_above_hull is not None
    assert score.relaxation.outcome.status is Status.RELAXATION_FAILED
    assert "not converged after 2 steps" in score.relaxation.outcome.message
    assert score.relaxation.outcome.energy_per_atom < score.energy_per_atom
    assert score.relaxation.crystal.num_atoms == 8
    assert scored.scores[1].verdict.status is Status.TOO_CLOSE
    assert scored.scores[1].relaxation is None


def test_time_up_is_told_and_not_remembered(make_scorer, crystals):
    batch = pack(rattled(crystals["NaCl-rocksalt"]))
    hasty = ScoreOptions(
        components=STABILITY, relax=RelaxSettings(fmax=1e-12, max_steps=10**6), structure_limit_s=3.0
    )
    scorer = make_scorer()
    scored = scorer.score(batch, hasty, stop=never)
    assert scored.scores[0].relaxation.outcome.status is Status.TIMEOUT
    assert scored.scores[0].energy_per_atom is not None
    assert scorer.score(batch, hasty, stop=never).stats.cache_misses == 1


def test_a_caller_may_stop_a_relaxation(make_scorer, crystals):
    stop = threading.Event()
    endless = ScoreOptions(components=STABILITY, relax=RelaxSettings(fmax=1e-12, max_steps=10**6))
    threading.Timer(1.0, stop.set).start()
    with pytest.raises(WorkerStoppedError):
        make_scorer().score(pack(rattled(crystals["NaCl-rocksalt"])), endless, stop=stop.is_set)


def test_a_killed_process_costs_a_step_at_most(make_scorer, crystals, calculators):
    batch = pack(*(rattled(crystals[name]) for name in ("NaCl-rocksalt", "SrTiO3", "CaF2")))
    expected = make_scorer().score(batch, RELAX, stop=never)
    killer = threading.Timer(0.3, lambda: [os.kill(pid, signal.SIGKILL) for pid in calculators.pids()])
    killer.start()
    scored = make_scorer().score(batch, RELAX, stop=never)
    killer.join()
    for before, after in zip(expected.scores, scored.scores, strict=True):
        assert after.relaxation.outcome.energy_per_atom == pytest.approx(
            before.relaxation.outcome.energy_per_atom, abs=1e-4
        )


def test_a_calculator_without_forces_is_told_apart(make_scorer, crystals, calculators, monkeypatch):
    from dataclasses import replace

    monkeypatch.setattr(calculators, "identity", replace(calculators.identity, offers_stress=False))
    with pytest.raises(FailedPreconditionError, match="relax_cell = false"):
        make_scorer().score(pack(crystals["SrTiO3"]), RELAX, stop=never)
    monkeypatch.setattr(calculators, "identity", replace(calculators.identity, offers_forces=False))
    with pytest.raises(FailedPreconditionError, match="gives no forces"):
        make_scorer().score(pack(crystals["SrTiO3"]), FORCES, stop=never)
