"""The same cases against every backend."""

from __future__ import annotations

import re
import sqlite3
import threading
import time

import pytest
from structlog.testing import capture_logs

from oracle_svc.cache import Cache, open_cache, without_secret
from oracle_svc.cache.flight import SingleFlight
from oracle_svc.cache.redis_ import RedisCache
from oracle_svc.cache.sqlite import SqliteCache


@pytest.fixture(params=["sqlite", "redis"])
def cache(request, tmp_path):
    url = (
        f"sqlite:///{tmp_path}/cache.db"
        if request.param == "sqlite"
        else request.getfixturevalue("redis_server").url
    )
    store = open_cache(url)
    yield store
    store.close()


def test_a_backend_is_a_cache(cache):
    assert isinstance(cache, Cache)


def test_what_was_set_is_got_and_nothing_else(cache):
    cache.set_many({"a": b"1", "b": b"\x00\xff" * 500})
    assert cache.get_many(["b", "missing", "a", "a"]) == {"a": b"1", "b": b"\x00\xff" * 500}
    assert cache.get_many([]) == {}


def test_the_last_value_wins(cache):
    cache.set_many({"a": b"old"})
    cache.set_many({"a": b"new"})
    assert cache.get_many(["a"]) == {"a": b"new"}


def test_thousands_of_keys_in_one_call(cache):
    items = {f"key-{i}": str(i).encode() for i in range(3000)}
    cache.set_many(items)
    assert cache.get_many(list(items)) == items


def test_threads_share_a_cache(cache):
    def work(name):
        for i in range(50):
            cache.set_many({f"{name}-{i}": name.encode()})
            assert cache.get_many([f"{name}-{i}"]) == {f"{name}-{i}": name.encode()}

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache.get_many([f"t{n}-{i}" for n in range(4) for i in range(50)])) == 200


def test_one_of_many_threads_computes(cache):
    flight = SingleFlight(cache)
    computed, results = [], []

    def score():
        with flight.claim(["x", "y"]) as claim:
            if claim.mine:
                time.sleep(0.2)
                computed.append(sorted(claim.mine))
                claim.deliver({key: key.encode() * 3 for key in claim.mine})
            found = claim.wait(until=time.monotonic() + 10, cancelled=lambda: False)
        results.append({**{key: key.encode() * 3 for key in claim.mine}, **found})

    threads = [threading.Thread(target=score) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(key for keys in computed for key in keys) == ["x", "y"]
    assert results == [{"x": b"xxx", "y": b"yyy"}] * 6


def test_a_failed_computation_frees_its_waiters(cache):
    flight = SingleFlight(cache)
    started = threading.Event()

    def compute():
        with flight.claim(["x"]) as claim:
            assert claim.mine == {"x"}
            started.set()
            time.sleep(0.2)
            raise RuntimeError("out of memory")

    def fail():
        with pytest.raises(RuntimeError):
            compute()

    thread = threading.Thread(target=fail)
    thread.start()
    started.wait()
    with flight.claim(["x"]) as claim:
        assert claim.others == {"x"}
        assert claim.wait(until=time.monotonic() + 10, cancelled=lambda: False) == {}
    thread.join()
    with flight.claim(["x"]) as again:
        assert again.mine == {"x"}


def test_a_waiter_may_give_up(cache):
    flight = SingleFlight(cache)
    with flight.claim(["x"]), flight.claim(["x"]) as waiter:
        assert waiter.wait(until=time.monotonic() + 60, cancelled=lambda: True) == {}


def test_two_replicas_share_the_work_through_redis(redis_server):
    caches = [RedisCache(redis_server.url) for _ in range(2)]
    first, second = (SingleFlight(cache) for cache in caches)
    with first.claim(["x"]) as claim:
        assert claim.mine == {"x"}
        with second.claim(["x", "y"]) as other:
            assert (other.mine, other.others) == ({"y"}, {"x"})
            threading.Timer(0.2, claim.deliver, [{"x": b"value"}]).start()
            assert other.wait(until=time.monotonic() + 10, cancelled=lambda: False) == {"x": b"value"}
    with second.claim(["x"]) as claim:
        assert claim.mine == {"x"}


def test_a_right_is_renewed_while_its_holder_works_and_expires_with_him(redis_server):
    holder = RedisCache(redis_server.url, lock_ttl_s=0.6)
    other = RedisCache(redis_server.url, lock_ttl_s=0.6)
    with SingleFlight(holder).claim(["x"]):
        time.sleep(1.5)
        assert other.acquire(["x"], "other") == set()
    assert other.acquire(["x"], "other") == {"x"}
    holder.release(["x"], "somebody else")
    assert other.locked(["x"]) == {"x"}
    deadline = time.monotonic() + 30
    while other.locked(["x"]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert holder.acquire(["x"], "again") == {"x"}


def test_redis_may_die_and_come_back(own_redis):
    cache = RedisCache(own_redis.url, retry_after_s=0.3)
    cache.set_many({"a": b"1"})
    assert cache.outage is None
    own_redis.stop()
    with capture_logs() as logs:
        for _ in range(20):
            assert cache.get_many(["a"]) == {}
            cache.set_many({"b": b"2"})
            assert cache.acquire(["c"], "token") == {"c"}
            assert cache.locked(["c"]) == set()
            cache.renew(["c"], "token")
            cache.release(["c"], "token")
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == [
        "redis unavailable, computing without the cache"
    ]
    assert cache.outage == f"{cache.name} does not answer; scoring without cache"
    own_redis.start()
    deadline = time.monotonic() + 30
    while cache.get_many(["a"]) == {} and time.monotonic() < deadline:
        cache.set_many({"a": b"3"})
        time.sleep(0.05)
    assert cache.get_many(["a"]) == {"a": b"3"}
    assert cache.outage is None


def test_the_password_is_never_shown():
    cache = RedisCache("redis://:secret@cache.example:6379/2")
    assert cache.name == "redis://cache.example:6379/2"


def test_sqlite_outlives_the_process(tmp_path):
    first = SqliteCache(tmp_path / "new folder" / "cache.db")
    first.set_many({"a": b"1"})
    first.close()
    second = SqliteCache(tmp_path / "new folder" / "cache.db")
    assert second.get_many(["a"]) == {"a": b"1"}
    second.close()


def test_sqlite_drops_entries_of_another_schema(tmp_path):
    first = SqliteCache(tmp_path / "cache.db")
    first.set_many({"a": b"1"})
    first.close()
    with sqlite3.connect(tmp_path / "cache.db") as db:
        db.execute("PRAGMA user_version=999")
    db.close()
    second = SqliteCache(tmp_path / "cache.db")
    assert second.get_many(["a"]) == {}
    second.close()


def test_sqlite_holds_its_size_limit_and_forgets_the_least_recently_used(tmp_path, monkeypatch):
    clock = iter(range(10_000, 10_000_000, 1000))
    monkeypatch.setattr("oracle_svc.cache.sqlite.time.time", lambda: next(clock))
    cache = SqliteCache(tmp_path / "cache.db", max_bytes=10_000)
    for i in range(9):
        cache.set_many({f"k{i}": bytes(1000)})
    assert cache.get_many(["k0"])
    for i in range(9, 12):
        cache.set_many({f"k{i}": bytes(1000)})
    left = cache.get_many([f"k{i}" for i in range(12)])
    assert sum(len(value) for value in left.values()) <= 10_000
    assert "k0" in left
    assert "k1" not in left
    assert "k11" in left
    cache.close()


def test_a_file_that_is_no_database_is_refused_with_advice(tmp_path):
    (tmp_path / "cache.db").write_bytes(b"this is not sqlite" * 100)
    with pytest.raises(ValueError, match="delete it or name another file"):
        SqliteCache(tmp_path / "cache.db")


def test_sqlite_losing_its_table_slows_and_never_fails(tmp_path):
    cache = SqliteCache(tmp_path / "cache.db")
    with sqlite3.connect(tmp_path / "cache.db") as db:
        db.execute("DROP TABLE entry")
    db.close()
    with capture_logs() as logs:
        for _ in range(3):
            cache.set_many({"a": b"1"})
            assert cache.get_many(["a"]) == {}
    assert [entry["log_level"] for entry in logs] == ["warning"]
    cache.close()


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ValueError, match="expected sqlite"):
        open_cache("memcached://host")


@pytest.mark.parametrize(
    "url", ["redis:/host", "redis:host:6379", "rediss:/:secret@host", "unix:/run/redis.sock"]
)
def test_an_address_with_a_slash_too_few_is_refused_and_makes_no_file(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="expected sqlite"):
        open_cache(url)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "url",
    ["redis://:sec/ret#pass@host:6379", "redis://user:se#cret?pass@host:1", "redis://:sec@ret:pass@host:port",
     "memcached://user:secretpass@host", "redis:/:secretpass@host"],
)  # fmt: skip
def test_no_part_of_a_password_stands_in_a_message(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="cache") as caught:
        open_cache(url)
    error: BaseException | None = caught.value
    while error is not None:
        assert not re.search("sec|ret|pass", str(error).replace("passwords", "")), error
        error = None if error.__suppress_context__ else error.__context__
    assert without_secret("redis://:pass@word@host:1/0") == "redis://***@host:1/0"
    assert without_secret("redis://host:1/0") == "redis://host:1/0"


def test_none_remembers_nothing():
    cache = open_cache("none:")
    cache.set_many({"a": b"1"})
    assert isinstance(cache, Cache)
    assert cache.get_many(["a"]) == {}
