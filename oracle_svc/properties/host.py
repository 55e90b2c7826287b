"""Other people's properties, in worker processes: one that hangs, dies or raises costs values, no more.

A request carries some structures and one property. A worker that exceeds the time limit is killed, the
structures are tried again one by one, and after a few that are too slow the property is given up for the
rest of the batch: the time of a batch is bounded, however slow the function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle_svc.pools.worker_pool import WorkerDiedError, WorkerError, WorkerPool, WorkerTimeoutError
from oracle_svc.properties.base import Property
from oracle_svc.status import Outcome, Status
from xenolith.crystal import CrystalBatch

__all__ = ["PropertyHost", "PropertyInfo", "Value", "values_of", "worker"]

_AT_ONCE = 16
_GIVE_UP_AFTER = 3
"""Structures in a row on which a property may lose its process before it is given up for a batch."""

Value = float | Outcome
"""A number, or why there is none."""


@dataclass(frozen=True, kw_only=True)
class PropertyInfo:
    """Description of a property by itself; see `Property`."""

    name: str
    unit: str
    description: str
    licence: str
    digest: str
    embeddings_of: str

    @classmethod
    def of(cls, item: Property) -> PropertyInfo:
        """Ask a property."""
        fields = ("name", "unit", "description", "licence", "digest", "embeddings_of")
        return cls(**{field: str(getattr(item, field)) for field in fields})


class PropertyHost:
    """Runs the properties of some sources in worker processes.

    Parameters
    ----------
    sources
        As `registry.open_source` takes them.
    workers
        Number of processes.
    limit_s
        Seconds a property may take for a structure, and for each request of some structures.

    Raises
    ------
    ValueError
        A source cannot be opened; says which and why.
    """

    def __init__(self, sources: Sequence[str], *, workers: int = 1, limit_s: float = 10.0) -> None:
        self._pool = WorkerPool(
            handler="oracle_svc.properties.host:worker", options={"sources": list(sources)}, size=workers
        )
        self._limit_s = limit_s
        try:
            answer = self._pool.call({"describe": True}, time_limit_s=60.0)
        except WorkerError as error:
            self._pool.close()
            raise ValueError(f"properties: {error}") from error
        if "error" in answer:
            self._pool.close()
            raise ValueError(str(answer["error"]))
        self.properties = tuple(PropertyInfo(**item) for item in answer["properties"])

    def close(self) -> None:
        """End the processes."""
        self._pool.close()

    def portions(
        self,
        name: str,
        crystals: CrystalBatch,
        embeddings: NDArray[np.float32] | None,
        stop: Callable[[], bool],
    ) -> Iterator[dict[int, Value]]:
        """Yield values by index, some at a time.

        Raises
        ------
        WorkerStoppedError
            `stop` said so.
        """
        patience, alone = _GIVE_UP_AFTER, False
        for start in range(0, len(crystals), _AT_ONCE):
            rows = list(range(start, min(start + _AT_ONCE, len(crystals))))
            if not alone:
                try:
                    yield dict(zip(rows, self._ask(name, crystals, embeddings, rows, stop), strict=True))
                    continue
                except (WorkerDiedError, WorkerTimeoutError) as error:
                    # A slow function is slow everywhere: no more waiting for many at once.
                    alone = isinstance(error, WorkerTimeoutError)
            for row in rows:
                if patience <= 0:
                    yield {row: _given_up(name)}
                    continue
                value, lost = self._ask_one(name, crystals, embeddings, row, stop)
                patience = patience - 1 if lost else _GIVE_UP_AFTER
                yield {row: value}

    def _ask_one(
        self,
        name: str,
        crystals: CrystalBatch,
        embeddings: NDArray[np.float32] | None,
        row: int,
        stop: Callable[[], bool],
    ) -> tuple[Value, bool]:
        """Value of one structure, and whether it cost a process."""
        try:
            return self._ask(name, crystals, embeddings, [row], stop)[0], False
        except WorkerTimeoutError:
            message = f"property {name} took longer than {self._limit_s:g} s"
            return Outcome(status=Status.TIMEOUT, message=message), True
        except WorkerDiedError as error:
            return _failed(name, str(error)), True

    def _ask(
        self,
        name: str,
        crystals: CrystalBatch,
        embeddings: NDArray[np.float32] | None,
        rows: list[int],
        stop: Callable[[], bool],
    ) -> list[Value]:
        part = crystals.take(rows)
        request: dict[str, Any] = {
            "property": name,
            "num_atoms": part.num_atoms,
            "lattices": part.lattices,
            "numbers": part.numbers,
            "frac_coords": part.frac_coords,
        }
        if embeddings is not None:
            request["embeddings"] = embeddings[rows]
        answer = self._pool.call(request, time_limit_s=self._limit_s, stop=stop)
        if "error" in answer:
            return [_failed(name, str(answer["error"]))] * len(rows)
        pairs = zip(answer["values"].tolist(), answer["messages"], strict=True)
        return [_failed(name, message) if message else value for value, message in pairs]


def values_of(item: Property, crystals: CrystalBatch, embeddings: NDArray[np.float32] | None) -> list[Value]:
    """Values of a property in this process; what it raises, or a value that is no number, is an outcome."""
    values, messages = _predicted(item, crystals, embeddings)
    pairs = zip(values.tolist(), messages, strict=True)
    return [_failed(item.name, message) if message else value for value, message in pairs]


def worker(*, sources: list[str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Handler of a worker process: predicts one property of the structures of a request."""
    from oracle_svc.properties.registry import open_source

    opened: dict[str, Property] = {}
    for source in sources:
        try:
            items = open_source(source)
        except Exception as error:  # whatever a user's module raises
            raise ValueError(f"property source {source}: {type(error).__name__}: {error}") from error
        opened.update({item.name: item for item in items})

    def predict(request: dict[str, Any]) -> dict[str, Any]:
        if "describe" in request:
            return {"properties": [vars(PropertyInfo.of(item)) for item in opened.values()]}
        name, embeddings = request.pop("property"), request.pop("embeddings", None)
        values, messages = _predicted(opened[name], CrystalBatch(**request), embeddings)
        return {"values": values, "messages": messages}

    return predict


def _predicted(
    item: Property, crystals: CrystalBatch, embeddings: NDArray[np.float32] | None
) -> tuple[NDArray[np.float64], list[str]]:
    """Values (B,) and messages; if the batch fails as a whole, each structure on its own."""
    try:
        values = np.asarray(item.predict(crystals, embeddings), dtype=np.float64)
        if values.shape != (len(crystals),):
            raise ValueError(f"it returned shape {values.shape} for {len(crystals)} structures")
    except Exception as error:  # noqa: BLE001 - other people's code may raise anything
        if len(crystals) <= 1:
            return np.full(len(crystals), np.nan), [f"{type(error).__name__}: {error}"] * len(crystals)
        parts = [
            _predicted(item, crystals.take([row]), None if embeddings is None else embeddings[[row]])
            for row in range(len(crystals))
        ]
        return np.concatenate([part[0] for part in parts]), [part[1][0] for part in parts]
    return values, ["" if good else "it is not a finite number" for good in np.isfinite(values).tolist()]


def _given_up(name: str) -> Outcome:
    message = f"property {name} was given up: it cost {_GIVE_UP_AFTER} structures in a row their process"
    return Outcome(status=Status.TIMEOUT, message=message)


def _failed(name: str, message: str) -> Outcome:
    return Outcome(status=Status.CALCULATOR_FAILED, message=f"property {name}: {message}")
