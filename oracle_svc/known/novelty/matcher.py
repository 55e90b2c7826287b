"""pymatgen's StructureMatcher, in processes that can be killed.

On some cells it runs for minutes or for ever, inside compiled code that no signal handler interrupts. Hence
a worker process and a time limit for each pair; a pair that exceeds it is `Verdict.TIMEOUT`, which is not
"different".

Near its tolerances `StructureMatcher.fit` depends on which of two crystals comes first: it measures by the
first one's cell. A pair is the same here if either order says so. Putting the two in an order by content
would cost half, and would make the verdict hang on how a crystal is written down.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle_svc.pools.worker_pool import WorkerDiedError, WorkerPool, WorkerTimeoutError
from xenolith.crystal import Crystal

__all__ = ["MATCHER_RULE", "MatcherOptions", "PairMatcher", "Verdict", "worker"]

MATCHER_RULE = "either order"
"""How two answers of StructureMatcher become a verdict; part of the settings, so another rule is told."""


class Verdict(Enum):
    """Result of StructureMatcher for two crystals."""

    SAME = "same"
    DIFFERENT = "different"
    TIMEOUT = "timeout"
    """It did not finish within the time limit."""
    FAILED = "failed"
    """It raised, or its process died."""


@dataclass(frozen=True, kw_only=True)
class MatcherOptions:
    """Tolerances of StructureMatcher; the defaults are those the field reports its numbers with."""

    length_tolerance: float = 0.2
    """`ltol`, fraction of the cell lengths."""
    site_tolerance: float = 0.3
    """`stol`, fraction of (volume / atoms)^(1/3)."""
    angle_tolerance: float = 5.0
    """`angle_tol`, degrees."""


class PairMatcher:
    """Verdicts on pairs of crystals, several at a time, each within a time limit.

    Parameters
    ----------
    workers
        Number of processes; they start with the first pair.
    pair_limit_s
        Time limit of a pair, seconds.
    """

    def __init__(self, *, workers: int = 1, pair_limit_s: float = 5.0) -> None:
        self._pool = WorkerPool(handler="oracle_svc.known.novelty.matcher:worker", size=workers)
        self._limit_s = pair_limit_s

    def verdicts(
        self,
        pairs: Sequence[tuple[Crystal, Crystal]],
        options: MatcherOptions,
        *,
        stop: Callable[[], bool] | None = None,
    ) -> list[Verdict]:
        """One verdict per pair.

        Raises
        ------
        WorkerStoppedError
            `stop` said so.
        """
        if not pairs:
            return []
        with ThreadPoolExecutor(self._pool.size, thread_name_prefix="matcher") as threads:
            return list(threads.map(lambda pair: self._verdict(pair[0], pair[1], options, stop), pairs))

    def close(self) -> None:
        """End the processes."""
        self._pool.close()

    def _verdict(
        self, a: Crystal, b: Crystal, options: MatcherOptions, stop: Callable[[], bool] | None
    ) -> Verdict:
        request = {
            **_fields("a", a),
            **_fields("b", b),
            "ltol": options.length_tolerance,
            "stol": options.site_tolerance,
            "angle_tol": options.angle_tolerance,
        }
        try:
            answer = self._pool.call(request, time_limit_s=self._limit_s, stop=stop)
        except WorkerTimeoutError:
            return Verdict.TIMEOUT
        except WorkerDiedError:
            return Verdict.FAILED
        if "error" in answer:
            return Verdict.FAILED
        return Verdict.SAME if answer["same"] else Verdict.DIFFERENT


def worker() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Handler of a worker process: compares the two crystals of a request."""
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core import Lattice, Structure

    def structure(request: dict[str, Any], side: str) -> Structure:
        numbers = request[f"{side}_numbers"].tolist()
        return Structure(Lattice(request[f"{side}_lattice"]), numbers, request[f"{side}_frac_coords"])

    def compare(request: dict[str, Any]) -> dict[str, Any]:
        matcher = StructureMatcher(
            ltol=request["ltol"],
            stol=request["stol"],
            angle_tol=request["angle_tol"],
            attempt_supercell=False,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            a, b = structure(request, "a"), structure(request, "b")
            return {"same": bool(matcher.fit(a, b) or matcher.fit(b, a))}

    return compare


def _fields(side: str, crystal: Crystal) -> dict[str, NDArray[np.generic]]:
    return {
        f"{side}_lattice": np.asarray(crystal.lattice, dtype=np.float64),
        f"{side}_numbers": np.asarray(crystal.numbers, dtype=np.int64),
        f"{side}_frac_coords": np.asarray(crystal.frac_coords, dtype=np.float64),
    }
