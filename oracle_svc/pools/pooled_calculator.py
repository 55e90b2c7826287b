"""Worker processes where a calculator is expected: for hulls, which are built outside an oracle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from oracle_svc.calculators.base import Evaluation
from oracle_svc.pools.calculator_pool import CalculatorPool
from xenolith.crystal import CrystalBatch

__all__ = ["PooledCalculator", "open_pooled"]


class PooledCalculator:
    """Evaluates in the processes of a pool, which may be of another environment; it ends them.

    Parameters
    ----------
    pool
        The processes.
    """

    def __init__(self, pool: CalculatorPool) -> None:
        self._pool = pool
        identity = pool.identity
        self.id, self.version, self.scheme = identity.id, identity.version, identity.scheme
        self.licence, self.elements = identity.licence, identity.elements
        self.embedding_size, self.settings_digest = identity.embedding_size, identity.settings_digest
        self.offers_forces, self.offers_stress = identity.offers_forces, identity.offers_stress

    def evaluate(self, batch: CrystalBatch, *, with_forces: bool = False) -> Evaluation:
        """Evaluate every structure."""
        return self._pool.evaluate(batch, with_forces=with_forces)

    def close(self) -> None:
        """End the processes."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_pooled(name: str, settings: Mapping[str, Any], *, workers: int = 1) -> PooledCalculator:
    """Open a calculator by name in processes of its own, whatever environment it needs.

    Raises
    ------
    EnvironmentFailedError
        Its environment could not be made.
    WorkerError
        A process could not open it; says why.
    """
    return PooledCalculator(CalculatorPool(calculator=name, settings=settings, workers=workers))
