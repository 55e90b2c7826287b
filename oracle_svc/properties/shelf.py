"""The properties of one oracle: which there are, and their values for a batch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from oracle_svc.pools.worker_pool import WorkerStoppedError
from oracle_svc.properties.base import Property
from oracle_svc.properties.host import PropertyHost, PropertyInfo, Value, values_of
from oracle_svc.properties.registry import is_shipped, open_shipped, sources_of
from xenolith.crystal import CrystalBatch
from xenolith.errors import FailedPreconditionError, invalid_field

__all__ = ["PropertyShelf"]

_AT_ONCE = 256


class PropertyShelf:
    """Properties by name. What ships runs here; all else in processes of its own.

    Parameters
    ----------
    sources
        Comma-separated; see `registry`.
    calculator_digest
        `settings_digest` of the oracle's calculator: properties that read another one's embeddings are named
        and refused.
    workers, limit_s
        Processes of the properties that do not ship, and seconds they may take for a structure.

    Raises
    ------
    ValueError
        A source cannot be opened, or two properties have one name.
    """

    def __init__(
        self, sources: str = "all", *, calculator_digest: str, workers: int = 1, limit_s: float = 10.0
    ) -> None:
        named = sources_of(sources)
        self._here: dict[str, Property] = {
            item.name: item for source in named if is_shipped(source) for item in open_shipped(source)
        }
        foreign = [source for source in named if not is_shipped(source)]
        self._host = PropertyHost(foreign, workers=workers, limit_s=limit_s) if foreign else None
        infos = [PropertyInfo.of(item) for item in self._here.values()]
        infos += self._host.properties if self._host else ()
        twice = {info.name for info in infos if sum(other.name == info.name for other in infos) > 1}
        if twice:
            self.close()
            raise ValueError(f"two properties are named {min(twice)!r}; rename one, or leave one out")
        self._all = {info.name: info for info in infos}
        self.infos = {info.name: info for info in infos if info.embeddings_of in {"", calculator_digest}}
        """Properties that can be had with this calculator."""

    @property
    def names(self) -> Collection[str]:
        """Names of all properties, those included that read the embeddings of another calculator."""
        return self._all.keys()

    def close(self) -> None:
        """End the processes."""
        if self._host is not None:
            self._host.close()

    def chosen(self, names: Sequence[str]) -> tuple[PropertyInfo, ...]:
        """Return the properties of these names, all that can be had if there are none.

        Raises
        ------
        InvalidArgumentError
            A name is unknown.
        FailedPreconditionError
            A property reads the embeddings of another calculator.
        """
        for place, name in enumerate(names):
            if name not in self._all:
                known = ", ".join(sorted(self._all)) or "none"
                field = f"settings.properties[{place}]"
                raise invalid_field(field, f"is {name!r}, which is none of {known}")
            if name not in self.infos:
                raise FailedPreconditionError(
                    f"property {name} reads the embeddings of another calculator than this oracle's: train "
                    "it anew on those (python -m oracle_svc.properties.train), or leave it out"
                )
        return tuple(self.infos[name] for name in dict.fromkeys(names or sorted(self.infos)))

    def is_kept(self, name: str) -> bool:
        """Whether values are worth keeping: what ships costs less than to look it up."""
        return name not in self._here

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
        if name not in self._here:
            if self._host is not None:
                yield from self._host.portions(name, crystals, embeddings, stop)
            return
        for start in range(0, len(crystals), _AT_ONCE):
            if stop():
                raise WorkerStoppedError("stopped by the caller")
            rows = list(range(start, min(start + _AT_ONCE, len(crystals))))
            part = None if embeddings is None else embeddings[rows]
            yield dict(zip(rows, values_of(self._here[name], crystals.take(rows), part), strict=True))
