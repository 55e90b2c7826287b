"""A few relaxation steps, done by an oracle over the contract: the generator has no calculator of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from xenolith.client import Client
from xenolith.crystal import Crystal, CrystalBatch

__all__ = ["OracleRelaxer", "Relaxed"]

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Relaxed:
    """Crystals after a bounded relaxation."""

    crystals: list[Crystal]
    """Relaxed where the oracle could, else as they came."""
    calculator_id: str
    """Calculator that relaxed them."""


class OracleRelaxer:
    """Relaxes crystals with the default calculator of an oracle.

    Parameters
    ----------
    address
        ``host:port`` of an OracleService.
    connection
        Token and certificates, as `xenolith.client.Options` takes them.
    """

    def __init__(self, address: str, connection: Mapping[str, Any] | None = None) -> None:
        self.address = address
        self._client = Client.connect(oracle=address, **(connection or {}))

    def __call__(self, crystals: CrystalBatch, steps: int) -> Relaxed:
        """Relax cells and positions for at most `steps` steps.

        A crystal that the oracle refuses or fails on (overlapping atoms, unknown elements) keeps its decoded
        geometry.

        Raises
        ------
        XenolithError
            The oracle as a whole cannot be reached or does not relax.
        """
        scores = self._client.oracle.score(
            crystals,
            components=["stability"],
            settings={"relax": {"max_steps": steps, "return_crystals": True}},
        )
        result, kept = list(crystals), 0
        for index, score in enumerate(scores):
            relaxed = None if score.relaxation is None else score.relaxation.crystal
            if relaxed is None:
                kept += 1
            else:
                result[index] = relaxed
        if kept:
            log.warning("not relaxed: the oracle could not", structures=kept, of=len(result))
        return Relaxed(crystals=result, calculator_id=scores.provenance.calculator_id)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
