"""A Redis that is killed, restarted, full, or holds what it should not: slower, never wrong."""

from __future__ import annotations

import pytest
import redis
from structlog.testing import capture_logs

from oracle_svc.cache.redis_ import RedisCache
from oracle_svc.pipeline.results import Component, ScoreOptions
from oracle_svc.pipeline.scorer import Scorer
from oracle_svc.status import Status
from xenolith.crystal import Crystal, CrystalBatch

OPTIONS = ScoreOptions(components=frozenset({Component.STABILITY, Component.NOVELTY, Component.UNIQUENESS}))


def batch(crystals: dict[str, Crystal], factor: float = 1.0) -> CrystalBatch:
    chosen = [crystals[name] for name in ("SrTiO3", "CaF2", "NaCl-rocksalt", "Si-diamond")]
    return CrystalBatch.from_crystals(
        Crystal(lattice=c.lattice * factor, numbers=c.numbers, frac_coords=c.frac_coords) for c in chosen
    )


def values(scored) -> list[tuple[float, float, float]]:
    assert [score.verdict.status for score in scored.scores] == [Status.OK] * len(scored.scores)
    return [(s.energy_per_atom, s.e_above_hull, s.amd_distance) for s in scored.scores]


def agree(a, b) -> bool:
    return values(a) == [pytest.approx(row, abs=1e-5) for row in values(b)]


def score(scorer: Scorer, structures: CrystalBatch):
    return scorer.score(structures, OPTIONS, stop=lambda: False)


def impatient(scorer: Scorer, url: str) -> Scorer:
    """The scorer with a cache that tries again soon."""
    cache = RedisCache(url, retry_after_s=0.05)
    resources = scorer.resources
    resources.store = type(resources.store)(cache)
    return scorer


def fill(server, policy: str) -> redis.Redis:
    """Leave the server no room for another byte."""
    client = redis.Redis(port=server.port)
    used = client.info("memory")["used_memory"]
    client.config_set("maxmemory-policy", policy)
    client.config_set("maxmemory", used + 300_000)
    return client


def test_a_full_redis_is_read_and_costs_no_call(make_scorer, crystals, own_redis):
    scorer = impatient(make_scorer("none"), own_redis.url)
    kept = score(scorer, batch(crystals))
    client = fill(own_redis, "noeviction")
    with pytest.raises(redis.OutOfMemoryError):
        for i in range(10_000):
            client.set(f"junk{i}", bytes(1000))
    # Buffers of clients count as memory too and come and go: only far beyond the limit is full for sure.
    client.config_set("maxmemory", client.info("memory")["used_memory"] // 2)
    fresh = batch(crystals, 1.05)
    with capture_logs() as logs:
        first, second = score(scorer, fresh), score(scorer, fresh)
        old = score(scorer, batch(crystals))
    assert first.stats.calculator_calls == second.stats.calculator_calls == 4
    assert agree(first, second)
    assert (old.stats.calculator_calls, values(old)) == (0, values(kept)), "a full cache is still read"
    assert "takes no new values" in first.warnings[0]
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == [
        "redis takes no writes, reading what it has"
    ]
    client.config_set("maxmemory", 0)
    _until_kept(scorer, fresh)
    last = score(scorer, fresh)
    assert (last.stats.calculator_calls, last.warnings) == (0, ())
    assert agree(last, first)


def test_a_redis_that_evicts_forgets_and_never_lies(make_scorer, crystals, own_redis):
    scorer = impatient(make_scorer("none"), own_redis.url)
    first = score(scorer, batch(crystals))
    client = fill(own_redis, "allkeys-lru")
    for i in range(2_000):
        client.set(f"junk{i}", bytes(1000))
    assert client.info("stats")["evicted_keys"] > 0
    again = score(scorer, batch(crystals))
    assert agree(again, first)
    assert again.warnings == ()
    assert client.info("memory")["used_memory"] <= client.info("memory")["maxmemory"] * 1.05


def test_a_killed_redis_is_found_again(make_scorer, crystals, own_redis):
    scorer = impatient(make_scorer("none"), own_redis.url)
    first = score(scorer, batch(crystals))
    own_redis.stop()
    during = score(scorer, batch(crystals))
    assert "does not answer" in during.warnings[0]
    assert agree(during, first)
    own_redis.start()
    _until_kept(scorer, batch(crystals))
    after = score(scorer, batch(crystals))
    assert (after.stats.calculator_calls, after.warnings) == (0, ())
    assert agree(after, first)


def _until_kept(scorer: Scorer, structures: CrystalBatch) -> None:
    """Score until the cache keeps what it is given again: it is tried anew after a pause."""
    for _ in range(200):
        if score(scorer, structures).stats.calculator_calls == 0:
            return
    pytest.fail("the cache is not used again")


@pytest.mark.parametrize("damage", ["flipped", "torn", "swapped", "empty", "foreign", "of another type"])
def test_corrupt_entries_are_computed_again(make_scorer, crystals, own_redis, damage):
    scorer = impatient(make_scorer("none"), own_redis.url)
    first = score(scorer, batch(crystals))
    client = redis.Redis(port=own_redis.port)
    keys = sorted(key for key in client.keys("xenolith:*") if b":lock:" not in key)
    assert len(keys) >= 8
    stored = {key: client.get(key) for key in keys}
    for place, key in enumerate(keys):
        value = bytearray(stored[key])
        value[len(value) // 3] ^= 0x10
        if damage == "of another type":
            client.delete(key)
            client.rpush(key, b"a list")
            continue
        client.set(
            key,
            {
                "flipped": bytes(value),
                "torn": stored[key][: len(stored[key]) // 2],
                "swapped": stored[keys[(place + 1) % len(keys)]],
                "empty": b"",
                "foreign": b"\x80\x04\x95 pickled by somebody",
            }[damage],
        )
    again = score(scorer, batch(crystals))
    assert (again.stats.cache_hits, again.stats.calculator_calls) == (0, 4)
    assert agree(again, first)
    assert again.warnings == ()
    healed = score(scorer, batch(crystals))
    assert (healed.stats.calculator_calls, values(healed)) == (0, values(again))


def test_advice_to_the_operator(own_redis):
    cache = RedisCache(own_redis.url)
    client = redis.Redis(port=own_redis.port)
    assert "may take all memory: set maxmemory" in str(cache.advice())
    client.config_set("maxmemory", 10_000_000)
    assert "stops taking values when it is full" in str(cache.advice())
    client.config_set("maxmemory-policy", "allkeys-lru")
    assert cache.advice() is None
    own_redis.stop()
    assert cache.advice() is None
