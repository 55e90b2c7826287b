"""The pipeline with the real calculator in its real processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from oracle_svc.known.novelty.matcher import MatcherOptions
from oracle_svc.known.reference.folder import Reference
from oracle_svc.known.reference.structures import read_structures
from oracle_svc.pipeline.results import Component, ScoreOptions
from oracle_svc.pools.worker_pool import WorkerStoppedError
from oracle_svc.status import Status
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.errors import FailedPreconditionError

EVERYTHING = ScoreOptions(components=frozenset(Component) - {Component.AUDIT})


def never() -> bool:
    return False


def pack(*crystals: Crystal) -> CrystalBatch:
    return CrystalBatch.from_crystals(crystals)


def stretched(crystal: Crystal, factor: float) -> Crystal:
    return Crystal(lattice=crystal.lattice * factor, numbers=crystal.numbers, frac_coords=crystal.frac_coords)


def test_energies_are_those_of_chgnet_itself(make_scorer, crystals):
    from chgnet.model import CHGNet
    from pymatgen.core import Lattice, Structure

    model = CHGNet.load(verbose=False, use_device="cpu")
    chosen = [crystals[name] for name in ("NaCl-rocksalt", "SrTiO3", "Si-diamond")]
    scored = make_scorer().score(pack(*chosen), EVERYTHING, stop=never)
    assert scored.scores[1].energy_per_atom == pytest.approx(-8.41672, abs=1e-4)
    assert scored.scores[2].energy_per_atom == pytest.approx(-5.31218, abs=1e-4)
    for crystal, score in zip(chosen, scored.scores, strict=True):
        structure = Structure(Lattice(crystal.lattice), crystal.numbers, crystal.frac_coords)
        assert score.energy_per_atom == pytest.approx(
            float(model.predict_structure(structure)["e"]), abs=1e-4
        )


def test_known_crystals_are_known_on_the_hull_or_above(make_scorer, crystals):
    scored = make_scorer().score(pack(*crystals.values()), EVERYTHING, stop=never)
    for name, score in zip(crystals, scored.scores, strict=True):
        assert score.verdict.status is Status.OK
        assert score.valid
        assert score.novel is False
        assert score.nearest_reference == name
        assert score.amd_distance < 1e-3
        assert score.e_above_hull > -1e-5
        assert score.unique
        assert score.structure_diversity is not None
        assert score.composition_diversity is not None
    by_name = dict(zip(crystals, scored.scores, strict=True))
    assert by_name["NaCl-rocksalt"].e_above_hull == pytest.approx(0.0, abs=1e-5)
    assert by_name["Na-fcc"].formation_energy_per_atom == pytest.approx(0.0, abs=1e-5)
    assert by_name["NaCl-rocksalt"].formation_energy_per_atom < -1.0
    assert by_name["NaCl-rocksalt"].charge_neutral
    assert scored.provenance.calculator_id == "chgnet-0.3.0"
    assert scored.provenance.reference_id.startswith("textbook-")
    assert scored.warnings == ()


def test_descriptions_of_a_crystal_have_one_entry_and_one_score(make_scorer, crystals, redescribe):
    rng = np.random.default_rng(0)
    for name in ("NaCl-rocksalt", "SrTiO3", "CaF2"):
        scorer = make_scorer()
        first = scorer.score(pack(crystals[name]), EVERYTHING, stop=never)
        assert (first.stats.cache_hits, first.stats.calculator_calls) == (0, 1)
        for _ in range(4):
            again = scorer.score(pack(redescribe(crystals[name], rng)), EVERYTHING, stop=never)
            assert (again.stats.cache_misses, again.stats.calculator_calls) == (0, 0)
            assert again.scores[0].energy_per_atom == first.scores[0].energy_per_atom
            assert again.scores[0].e_above_hull == pytest.approx(first.scores[0].e_above_hull, abs=1e-12)
            assert again.scores[0].amd_distance == first.scores[0].amd_distance
            assert again.scores[0].outcomes[Component.STABILITY].cached


def test_descriptions_of_a_crystal_agree_without_a_cache(make_scorer, crystals, redescribe):
    rng = np.random.default_rng(1)
    scorer = make_scorer("none:")
    options = ScoreOptions(components=EVERYTHING.components, use_cache=False)
    for name in ("NaCl-rocksalt", "SrTiO3"):
        first = scorer.score(pack(crystals[name]), options, stop=never).scores[0]
        again = scorer.score(pack(redescribe(crystals[name], rng)), options, stop=never)
        assert again.stats.calculator_calls == 1
        assert again.scores[0].energy_per_atom == pytest.approx(first.energy_per_atom, abs=1e-4)
        assert again.scores[0].amd_distance == pytest.approx(first.amd_distance, abs=1e-4)


def test_copies_inside_a_batch_are_computed_once(make_scorer, crystals, redescribe):
    rng = np.random.default_rng(2)
    copies = [redescribe(crystals["SrTiO3"], rng) for _ in range(5)]
    scored = make_scorer().score(pack(*copies), EVERYTHING, stop=never)
    assert scored.stats.calculator_calls == 1
    assert len({score.energy_per_atom for score in scored.scores}) == 1
    assert sum(bool(score.unique) for score in scored.scores) == 1


def test_uniqueness_does_not_depend_on_the_order(make_scorer, crystals, redescribe):
    rng = np.random.default_rng(3)
    scorer = make_scorer()
    batch = [
        redescribe(stretched(crystals["NaCl-rocksalt"], factor), rng) for factor in (1.0, 1.002, 1.004, 1.2)
    ]
    batch += [redescribe(crystals["SrTiO3"], rng), crystals["MgO-rocksalt"], crystals["SrTiO3"]]
    options = ScoreOptions(components=frozenset({Component.UNIQUENESS}), amd_tolerance=0.03)
    straight = scorer.score(pack(*batch), options, stop=never).scores
    assert sum(bool(score.unique) for score in straight) == 4
    for _ in range(4):
        order = rng.permutation(len(batch))
        shuffled = scorer.score(pack(*(batch[i] for i in order)), options, stop=never).scores
        for place, index in enumerate(order):
            assert shuffled[place].unique == straight[index].unique
            original = straight[index].duplicate_of
            moved = shuffled[place].duplicate_of
            assert (None if moved is None else int(order[moved])) == original
            assert shuffled[place].batch_amd_distance == straight[index].batch_amd_distance


def test_a_chain_of_sames_is_one_cluster(make_scorer, crystals):
    """The ends are further apart than the tolerance; what joins them makes them one."""
    chain = [stretched(crystals["NaCl-rocksalt"], factor) for factor in (1.0, 1.002, 1.004)]
    options = ScoreOptions(components=frozenset({Component.UNIQUENESS}), amd_tolerance=0.03)
    scorer = make_scorer()
    ends = scorer.score(pack(chain[0], chain[2]), options, stop=never).scores
    assert [score.unique for score in ends] == [True, True]
    assert ends[0].batch_amd_distance > 0.03
    whole = scorer.score(pack(*chain), options, stop=never).scores
    assert sum(bool(score.unique) for score in whole) == 1


def test_novelty_counts_what_the_caller_knows(make_scorer, crystals):
    scorer = make_scorer()
    mine = stretched(crystals["NaCl-rocksalt"], 1.1)
    options = ScoreOptions(components=frozenset({Component.NOVELTY}))
    score = scorer.score(pack(mine), options, stop=never).scores[0]
    assert score.novel
    assert score.nearest_reference == "NaCl-rocksalt"
    assert score.amd_distance > 0.1
    nan = Crystal(lattice=np.full((3, 3), np.nan), numbers=[11], frac_coords=np.zeros((1, 3)))
    options = ScoreOptions(
        components=frozenset({Component.NOVELTY}), known=pack(crystals["Si-diamond"], nan, mine)
    )
    scored = scorer.score(pack(mine), options, stop=never)
    assert scored.scores[0].novel is False
    assert scored.scores[0].nearest_reference == "known:2"
    assert scored.warnings == ("known:1 is left out: its cell or coordinates hold NaN or infinity",)


def test_an_unknown_formula_is_novel(make_scorer):
    crystal = Crystal(lattice=np.eye(3) * 3.3, numbers=[55, 17], frac_coords=[[0, 0, 0], [0.5, 0.5, 0.5]])
    score = make_scorer().score(pack(crystal), EVERYTHING, stop=never).scores[0]
    assert score.novel
    assert score.nearest_reference is None
    assert score.amd_distance is None
    assert score.outcomes[Component.STABILITY].status is Status.NO_REFERENCE
    assert "Cs" in score.outcomes[Component.STABILITY].message
    assert score.energy_per_atom is not None
    assert score.verdict.status is Status.NO_REFERENCE


def test_structure_matcher_judges_uniqueness_if_asked(make_scorer, crystals):
    batch = pack(crystals["NaCl-rocksalt"], stretched(crystals["NaCl-rocksalt"], 1.1), crystals["Si-diamond"])
    scorer = make_scorer()
    by_amd = ScoreOptions(components=frozenset({Component.UNIQUENESS}))
    assert [score.unique for score in scorer.score(batch, by_amd, stop=never).scores] == [True] * 3
    by_matcher = ScoreOptions(components=frozenset({Component.UNIQUENESS}), matcher=MatcherOptions())
    scores = scorer.score(batch, by_matcher, stop=never).scores
    assert sorted(bool(score.unique) for score in scores[:2]) == [False, True]
    assert scores[2].unique
    with pytest.raises(FailedPreconditionError, match="holds no structures"):
        scorer.score(batch, ScoreOptions(matcher=MatcherOptions()), stop=never)


def test_a_copy_adds_less_diversity_than_a_stranger(make_scorer, crystals):
    salts = [stretched(crystals["NaCl-rocksalt"], 1 + i / 200) for i in range(6)]
    scores = make_scorer().score(pack(*salts, crystals["SrTiO3"]), EVERYTHING, stop=never).scores
    for name in ("structure_diversity", "composition_diversity"):
        values = [getattr(score, name) for score in scores]
        assert values[6] > max(values[:6])


def test_without_a_reference_energies_are_still_measured(make_scorer, crystals):
    scorer = make_scorer(references=[])
    options = ScoreOptions(components=frozenset({Component.STABILITY, Component.UNIQUENESS}))
    score = scorer.score(pack(crystals["Si-diamond"]), options, stop=never).scores[0]
    assert score.energy_per_atom == pytest.approx(-5.31218, abs=1e-4)
    assert score.outcomes[Component.STABILITY].status is Status.NO_REFERENCE
    with pytest.raises(FailedPreconditionError, match="start it with --reference"):
        scorer.score(pack(crystals["Si-diamond"]), EVERYTHING, stop=never)


def test_an_empty_batch_is_scored(make_scorer):
    assert make_scorer().score(pack(), EVERYTHING, stop=never).scores == ()


def test_the_settings_digest_tells_settings_apart(make_scorer):
    scorer = make_scorer()
    plain = scorer.provenance(ScoreOptions())
    assert plain == scorer.provenance(ScoreOptions(return_amd=True, use_cache=False))
    assert plain.settings_digest != scorer.provenance(ScoreOptions(amd_tolerance=0.2)).settings_digest
    assert (
        plain.settings_digest
        != make_scorer(references=[])
        .provenance(ScoreOptions(components=frozenset({Component.STABILITY})))
        .settings_digest
    )


def test_settings_of_structure_matcher_are_settings(make_scorer):
    scorer = make_scorer()
    matchers = [None, MatcherOptions(), MatcherOptions(site_tolerance=0.2)]
    options = [
        ScoreOptions(components=frozenset({Component.UNIQUENESS}), matcher=matcher) for matcher in matchers
    ]
    digests = {scorer.provenance(one).settings_digest for one in options}
    assert len(digests) == 3


def test_a_killed_worker_costs_nobody_a_score(make_scorer, crystals, calculators):
    batch = pack(*(stretched(crystal, 1.013) for crystal in crystals.values()))
    scorer = make_scorer()
    expected = [score.energy_per_atom for score in scorer.score(batch, EVERYTHING, stop=never).scores]
    options = ScoreOptions(components=EVERYTHING.components, use_cache=False)
    killed: list[int] = []
    done = threading.Event()

    def assassin() -> None:
        while not done.is_set() and len(killed) < 3:
            time.sleep(0.15)
            for pid in calculators.pids()[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    thread = threading.Thread(target=assassin)
    thread.start()
    scores = [scorer.score(batch, options, stop=never).scores for _ in range(2)]
    done.set()
    thread.join()
    assert killed
    for attempt in scores:
        assert [score.verdict.status for score in attempt] == [Status.OK] * len(batch)
        np.testing.assert_allclose([score.energy_per_atom for score in attempt], expected, atol=1e-5)


def test_a_time_limit_is_a_status(make_scorer, crystals):
    options = ScoreOptions(components=frozenset({Component.STABILITY}), structure_limit_s=1e-6)
    slow = CrystalBatch.from_crystals(
        [
            Crystal(
                lattice=np.eye(3) * 14.0,
                numbers=np.full(190, 14),
                frac_coords=np.array(list(np.ndindex(6, 6, 6)))[:190] / 6
                + 0.01 * np.arange(190)[:, None] / 190,
            )
        ]
    )
    score = make_scorer("none:").score(slow, options, stop=never).scores[0]
    assert score.outcomes[Component.STABILITY].status is Status.TIMEOUT
    assert "took longer than 1e-06 s" in score.verdict.message
    after = make_scorer("none:").score(pack(crystals["CaF2"]), EVERYTHING, stop=never).scores[0]
    assert after.verdict.status is Status.OK


def test_a_stopped_call_ends_and_keeps_what_it_finished(make_scorer, crystals, monkeypatch):
    batch = pack(*(stretched(c, 1 + i / 500) for c in crystals.values() for i in range(1, 4)))
    scorer = make_scorer()
    stop = threading.Event()
    store = scorer.resources.store.cache.set_many

    def store_and_stop(items):
        store(items)
        if any(key.startswith("energy:") for key in items):
            stop.set()

    monkeypatch.setattr(scorer.resources.store.cache, "set_many", store_and_stop)
    with pytest.raises(WorkerStoppedError):
        scorer.score(batch, EVERYTHING, stop=stop.is_set)
    again = scorer.score(batch, EVERYTHING, stop=never)
    assert again.stats.cache_hits > 0
    assert 0 < again.stats.calculator_calls < len(batch)
    assert [score.verdict.status for score in again.scores] == [Status.OK] * len(batch)


def test_redis_dying_in_mid_way_is_a_warning(make_scorer, crystals, own_redis):
    scorer = make_scorer(own_redis.url)
    batch = pack(*(stretched(crystal, 1.03) for crystal in crystals.values()))
    first = scorer.score(batch, EVERYTHING, stop=never)
    assert first.warnings == ()
    threading.Timer(0.2, own_redis.stop).start()
    results = [scorer.score(pack(*(stretched(c, 1.03 + i / 1000) for c in batch)), EVERYTHING, stop=never)
               for i in range(1, 3)]  # fmt: skip
    own_redis.stop()
    last = scorer.score(batch, EVERYTHING, stop=never)
    assert len(last.warnings) == 1
    assert "does not answer; scoring without cache" in last.warnings[0]
    assert last.stats.cache_hits == 0
    for result in (*results, last):
        assert [score.verdict.status for score in result.scores] == [Status.OK] * len(batch)
    np.testing.assert_allclose(
        [score.energy_per_atom for score in last.scores],
        [score.energy_per_atom for score in first.scores],
        atol=1e-5,
    )


def test_two_replicas_never_compute_the_same_crystal_at_once(make_scorer, crystals, redis_url):
    batch = pack(*(stretched(crystal, 1.07) for crystal in crystals.values()))
    scorers = [make_scorer(redis_url) for _ in range(3)]
    results = {}

    def score(number: int) -> None:
        results[number] = scorers[number].score(batch, EVERYTHING, stop=never)

    threads = [threading.Thread(target=score, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(result.stats.calculator_calls for result in results.values()) == len(batch)
    energies = [[score.energy_per_atom for score in result.scores] for result in results.values()]
    assert energies[0] == energies[1] == energies[2]


@pytest.mark.parametrize("damage", ["flipped", "torn", "swapped", "empty"])
def test_a_damaged_entry_is_a_miss_never_a_wrong_value(make_scorer, crystals, damage):
    scorer = make_scorer()
    chosen = [crystals["SrTiO3"], crystals["BaTiO3"]]
    first = scorer.score(pack(*chosen), EVERYTHING, stop=never)
    cache = scorer.resources.store.cache
    keys = [row[0] for row in cache._db.execute("SELECT key FROM entry ORDER BY key")]
    values = cache.get_many(keys)
    assert len(keys) == 6  # energy, AMD and description of each
    for index, key in enumerate(keys):
        value = bytearray(values[key])
        value[len(value) // 2] ^= 1
        damaged = {
            "flipped": bytes(value),
            "torn": values[key][:-5],
            "swapped": values[keys[index ^ 1]],  # whole, but another crystal's
            "empty": b"",
        }[damage]
        cache.set_many({key: damaged})
    again = scorer.score(pack(*chosen), EVERYTHING, stop=never)
    assert (again.stats.cache_hits, again.stats.calculator_calls) == (0, 2)
    for before, after in zip(first.scores, again.scores, strict=True):
        assert after.energy_per_atom == pytest.approx(before.energy_per_atom, abs=1e-6)


def test_a_near_crystal_does_not_take_anothers_entry(make_scorer, crystals):
    scorer = make_scorer()
    good = crystals["SrTiO3"]
    scorer.score(pack(good), EVERYTHING, stop=never)
    shifted = good.frac_coords.copy()
    shifted[1] += np.array([0.01, 0.0, 0.0]) / 3.9
    moved = Crystal(lattice=good.lattice, numbers=good.numbers, frac_coords=shifted)
    scored = scorer.score(pack(moved), EVERYTHING, stop=never)
    assert scored.stats.calculator_calls == 1
    assert not scored.scores[0].outcomes[Component.STABILITY].cached


@pytest.fixture(scope="module")
def shipped():
    """The reference of the bundle in the repository."""
    folders = sorted((Path(__file__).parents[4] / "bundles").glob("*/reference/reference.json"))
    if not folders:
        pytest.skip("no bundle with a reference under bundles/")
    return Reference.read(folders[0].parent)


def test_known_structures_are_known_to_the_shipped_reference(make_scorer, shipped, data_dir):
    table = read_structures(data_dir / "mp20.parquet")
    rows = np.random.default_rng(0).choice(len(table), 60, replace=False)
    scored = make_scorer(references=[shipped]).score(table.batch.take(rows), EVERYTHING, stop=never)
    for row, score in zip(rows, scored.scores, strict=True):
        assert score.verdict.status is Status.OK, (table.ids[row], score.verdict)
        assert score.novel is False
        assert score.amd_distance < 1e-3
        assert score.e_above_hull > -1e-5
    on_hull = [score for score in scored.scores if score.e_above_hull < 1e-5]
    assert len(on_hull) > 5
    assert all(np.isfinite(score.structure_diversity) for score in scored.scores)
