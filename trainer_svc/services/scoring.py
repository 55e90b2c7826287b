"""Scoring through the oracle: components a reward needs, warm-up of the cache, one scale for a whole run."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf import json_format
from numpy.typing import NDArray

from trainer_svc.errors import SourceChangedError
from trainer_svc.rewards import RewardSpec
from trainer_svc.rewards.measurements import Measurements, measurements_from
from trainer_svc.rewards.metrics import columns_of
from trainer_svc.services.long_scoring import LongScoring
from trainer_svc.services.remote import Oracle
from xenolith.contract.columns import component_of_column
from xenolith.contract.components import COMPARING_COMPONENTS, DEFAULT_COMPONENTS
from xenolith.contract.wire import batch_from_proto, batch_to_proto
from xenolith.crystal import CrystalBatch
from xenolith.v1 import oracle_pb2

__all__ = ["Relaxed", "Scored", "Scorer", "Spent", "components_of", "spending"]

_SINGLE = tuple(number for number in DEFAULT_COMPONENTS if number not in COMPARING_COMPONENTS)
"""What depends on one structure alone, so that scoring it early fills the cache."""

_RELAXED_AT_ONCE = 16
"""Structures of a relaxation call: minutes at most, and progress shows."""


@dataclass(frozen=True, kw_only=True)
class Relaxed:
    """A batch after relaxation, in its order."""

    crystals: CrystalBatch
    """Relaxed, or as they were where relaxation failed."""
    ok: NDArray[np.bool_]
    """(B,) whether each was relaxed."""
    converged: NDArray[np.bool_]
    """(B,) whether its forces fell below the limit."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A measured batch."""

    measured: Measurements
    provenance: oracle_pb2.ScoreProvenance
    cache_hits: int
    warnings: tuple[str, ...]


def components_of(spec: RewardSpec) -> tuple[int, ...]:
    """Give the components that a reward and the headline metrics need."""
    wanted: set[int | None] = set(DEFAULT_COMPONENTS)
    wanted |= {component_of_column(column) for term in spec.terms for column in columns_of(term)}
    return tuple(sorted(number for number in wanted if number is not None))


class Spent:
    """Cost of a part of the work: energies by the calculator, steps of relaxations among them."""

    evaluations: int = 0


_SPENT: ContextVar[Spent | None] = ContextVar("spent", default=None)


@contextmanager
def spending() -> Iterator[Spent]:
    """Count what is computed for calls in this context, and for tasks that are begun in it."""
    spent = Spent()
    before = _SPENT.set(spent)
    try:
        yield spent
    finally:
        _SPENT.reset(before)


class Scorer:
    """Scores batches, all on the scale of the first one."""

    def __init__(
        self,
        oracle: Oracle,
        settings: dict[str, Any],
        *,
        on_progress: Callable[[str, int, int], None] = lambda *_: None,
    ) -> None:
        """Bind an oracle.

        Parameters
        ----------
        oracle
            Measures.
        settings
            The contract's ScoreSettings in JSON form.
        on_progress
            Told the stage, the structures finished and those in all, where scoring takes long.
        """
        self._oracle = oracle
        self._long = LongScoring(oracle, on_progress)
        self._takes_long: bool | None = None
        self._settings = json_format.ParseDict(settings, oracle_pb2.ScoreSettings())
        self._scale: oracle_pb2.ScoreProvenance | None = None
        self.seconds = 0.0
        """Time spent waiting for scores, seconds."""

    @property
    def scale(self) -> oracle_pb2.ScoreProvenance | None:
        """Calculators and reference that measure this run; None before the first score."""
        return self._scale

    def pin(self, scale: oracle_pb2.ScoreProvenance) -> None:
        """Accept only what an earlier part of the run was measured with."""
        self._scale = scale

    async def headline(self) -> tuple[int, ...]:
        """Components of an evaluation: what the headlines need, and graded metrics if the oracle has them."""
        description = await self._oracle.describe()
        graded = oracle_pb2.COMPONENT_CONTINUOUS
        return (*DEFAULT_COMPONENTS, graded) if graded in description.components else DEFAULT_COMPONENTS

    async def warm(self, crystals: CrystalBatch) -> None:
        """Have the oracle measure early what does not depend on the rest of the batch."""
        # Of a calculation of hours, sampling is no part worth saving.
        if not await self._is_long():
            await self._ask(crystals, _SINGLE)

    async def score(self, crystals: CrystalBatch, components: Sequence[int]) -> Scored:
        """Measure a batch.

        Raises
        ------
        SourceChangedError
            The oracle measures with another calculator, hull or reference than the run began with.
        """
        began = time.monotonic()
        answer = await self._ask(crystals, components)
        self.seconds += time.monotonic() - began
        self._check(answer.provenance)
        return Scored(
            measured=measurements_from(answer.scores),
            provenance=answer.provenance,
            cache_hits=answer.stats.cache_hits,
            warnings=tuple(answer.warnings),
        )

    async def relax(
        self, crystals: CrystalBatch, options: dict[str, Any], on_progress: Callable[[int], None]
    ) -> Relaxed:
        """Relax a batch with the calculator that scores it.

        Parameters
        ----------
        crystals
            B structures.
        options
            The contract's RelaxOptions in JSON form.
        on_progress
            Told how many are done; may raise to stop.
        """
        settings = oracle_pb2.ScoreSettings()
        settings.CopyFrom(self._settings)
        json_format.ParseDict(options, settings.relax)
        settings.relax.return_crystals = True
        result, ok, converged = list(crystals), [False] * len(crystals), [False] * len(crystals)
        for start in range(0, len(crystals), _RELAXED_AT_ONCE):
            rows = np.arange(start, min(start + _RELAXED_AT_ONCE, len(crystals)))
            answer = await self._ask(crystals.take(rows), (oracle_pb2.COMPONENT_STABILITY,), settings)
            for row, score in zip(rows.tolist(), answer.scores, strict=True):
                if score.relaxation.HasField("crystal"):
                    result[row] = batch_from_proto(score.relaxation.crystal)[0]
                    ok[row], converged[row] = True, score.relaxation.converged
            on_progress(len(rows) + start)
        return Relaxed(
            crystals=CrystalBatch.from_crystals(result), ok=np.array(ok), converged=np.array(converged)
        )

    async def second_opinions(
        self, crystals: CrystalBatch, calculator_ids: Sequence[str]
    ) -> oracle_pb2.ScoreResponse:
        """Have other calculators judge a batch; the scale of the run is not touched."""
        settings = oracle_pb2.ScoreSettings()
        settings.CopyFrom(self._settings)
        settings.audit_calculator_ids[:] = calculator_ids
        return await self._ask(crystals, (oracle_pb2.COMPONENT_AUDIT,), settings)

    async def further_references(self) -> tuple[str, ...]:
        """Ids of the oracle's references with known structures, but for the one that measures this run."""
        described = (await self._oracle.describe()).references
        own = self._scale.reference_id if self._scale else self._settings.reference_id
        return tuple(info.id for info in described if info.id != own and info.num_structures)

    async def novelty(
        self, crystals: CrystalBatch, *, reference_id: str = "", known: CrystalBatch | None = None
    ) -> Measurements:
        """Compare a batch with known crystals, and measure nothing else; the scale of the run is not touched.

        Parameters
        ----------
        reference_id
            Of the oracle's; empty: as the run.
        known
            Crystals that count as known beside it.
        """
        settings = oracle_pb2.ScoreSettings()
        settings.CopyFrom(self._settings)
        settings.ClearField("relax")
        settings.reference_id = reference_id or settings.reference_id
        answer = await self._ask(crystals, (oracle_pb2.COMPONENT_NOVELTY,), settings, known)
        return measurements_from(answer.scores)

    async def _ask(
        self,
        crystals: CrystalBatch,
        components: Sequence[int],
        settings: oracle_pb2.ScoreSettings | None = None,
        known: CrystalBatch | None = None,
    ) -> oracle_pb2.ScoreResponse:
        request = oracle_pb2.ScoreRequest(
            crystals=batch_to_proto(crystals),
            components=components,  # type: ignore[arg-type]  # ints are an enum's values
            settings=settings or self._settings,
            known=None if known is None else batch_to_proto(known),
        )
        if await self._is_long():
            answer = await self._long.score(request)
        else:
            answer = await self._oracle.score(request)
        steps = sum(score.relaxation.steps for score in answer.scores if score.HasField("relaxation"))
        if (spent := _SPENT.get()) is not None:
            spent.evaluations += answer.stats.calculator_calls + steps
        return answer

    async def _is_long(self) -> bool:
        """Whether the oracle's calculator takes longer than a call may last."""
        if self._takes_long is None:
            can = await self._oracle.describe()
            wanted = self._settings.calculator_id
            chosen = [c for c in can.calculators if not wanted or c.id == wanted][:1]
            self._takes_long = can.supports_operations and any(c.long_running for c in chosen)
        return self._takes_long

    def _check(self, provenance: oracle_pb2.ScoreProvenance) -> None:
        if self._scale is None:
            self._scale = provenance
        for name in ("calculator_id", "calculator_version", "reference_id", "hull_id", "settings_digest"):
            began, now = getattr(self._scale, name), getattr(provenance, name)
            if began != now:
                raise SourceChangedError(
                    f"the oracle now scores with {name} {now!r}, the run began with {began!r}; start it"
                    " as before and resume, or begin a new run"
                )
