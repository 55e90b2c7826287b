"""What belongs to a crystal alone, whatever batch it travels in: energy, embedding, AMD vector.

Measurements come from the cache, from whoever computes them at this moment, or are computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from oracle_svc.cache.store import Compute, Kind, Record
from oracle_svc.calculators.base import digest_of
from oracle_svc.crystals.amd import DEFAULT_K, amd_vectors
from oracle_svc.crystals.canonical import CanonicalForm
from oracle_svc.pipeline.energies import energy_records
from oracle_svc.pipeline.journal import Journal, journaled
from oracle_svc.pipeline.resources import Instruments
from oracle_svc.pipeline.results import Component, ScoreOptions, Stats
from oracle_svc.pools.worker_pool import WorkerStoppedError
from oracle_svc.status import Outcome, Status
from xenolith.crystal import CrystalBatch

__all__ = ["Measurements"]

_NEED_ENERGY = frozenset({Component.STABILITY})
_NEED_AMD = frozenset({Component.NOVELTY, Component.UNIQUENESS, Component.CONTINUOUS})

_AMD_PORTION = 32


class Measurements:
    """Measurements of the distinct crystals of one batch.

    Parameters
    ----------
    instruments
        Where calculators and cache are.
    options
        What is asked for.
    forms
        Distinct crystals; the caller fills this list before the first look-up.
    stats
        Counts hits, misses and calls.
    stop
        Asked between portions of work.
    journal
        Where measurements that take long are kept; None: the cache alone keeps them.
    """

    def __init__(
        self,
        instruments: Instruments,
        options: ScoreOptions,
        forms: list[CanonicalForm],
        stats: Stats,
        stop: Callable[[], bool],
        journal: Journal | None = None,
    ) -> None:
        self._instruments = instruments
        self._journal = journal
        self._options = options
        self._forms = forms
        self._stats = stats
        self._stop = stop
        engine = instruments.amd_engine.name
        self._amd_kind = Kind(component="amd", digest=digest_of({"amd": 1, "k": DEFAULT_K, "engine": engine}))
        self._cached: dict[str, set[int]] = {}
        self._failures: dict[int, Outcome] = {}
        self.energies: list[Record | None] = []
        """`energy_per_atom` and `embedding` by crystal; None where there is none."""
        self.amd: list[Record | None] = []
        """`amd` by crystal."""

    @property
    def need_energy(self) -> frozenset[Component]:
        """Components asked for that need an energy or the embedding that comes with it."""
        needed = _NEED_ENERGY | self._spread(embedding=True)
        if self._reads_embeddings():
            needed |= {Component.PROPERTIES}
        return self._options.components & needed

    @property
    def need_amd(self) -> frozenset[Component]:
        """Components asked for that need an AMD vector."""
        return self._options.components & (_NEED_AMD | self._spread(embedding=False))

    @property
    def wants_energy(self) -> bool:
        """Whether an energy is needed at all."""
        options = self._options
        return bool(self.need_energy) or options.return_embeddings or options.return_forces

    @property
    def wants_amd(self) -> bool:
        """Whether an AMD vector is needed at all."""
        return bool(self.need_amd) or self._options.return_amd

    def look_up(self) -> None:
        """Read everything that is needed from the cache, in one exchange."""
        kinds = [self._instruments.energy_kind] if self.wants_energy else []
        kinds += [self._amd_kind] if self.wants_amd else []
        records: dict[str, list[Record | None]] = {
            kind.component: [None] * len(self._forms) for kind in kinds
        }
        if self._options.use_cache:
            records = self._instruments.store.fetch(kinds, self._forms)
        for name, found in records.items():
            self._cached[name] = {row for row, record in enumerate(found) if record is not None}
        self.energies = records.get("energy", [])
        self.amd = records.get("amd", [])

    def compute_energies(self) -> None:
        """Fill in the energies that the cache did not have."""
        if not self.wants_energy:
            return
        kind = self._instruments.energy_kind
        self._measure(kind, self.energies, self._energies, self._failures)

    def compute_amd(self) -> None:
        """Fill in the AMD vectors that the cache did not have."""
        if self.wants_amd:
            self._complete(self._amd_kind, self.amd, self._amd)

    def obtain(self, kind: Kind, compute: Compute) -> list[Record | None]:
        """Records of another kind by crystal, from the cache or computed; None where there is none."""
        records: list[Record | None] = [None] * len(self._forms)
        if self._options.use_cache:
            records = self._instruments.store.fetch([kind], self._forms)[kind.component]
        self._cached[kind.component] = {row for row, record in enumerate(records) if record is not None}
        self._measure(kind, records, compute, {})
        return records

    def is_cached(self, component: str, row: int) -> bool:
        """Whether a crystal's record was computed by somebody else, or before."""
        return row in self._cached[component]

    def failure(self, row: int) -> Outcome:
        """Why a crystal has no energy."""
        nothing = Outcome(status=Status.CALCULATOR_FAILED, message="no energy came back")
        if self._journal is not None and self._journal.closed:
            nothing = Outcome(status=Status.SKIPPED, message="not measured yet, or cancelled before it was")
        return self._failures.get(row, nothing)

    def _measure(
        self, kind: Kind, records: list[Record | None], compute: Compute, failures: dict[int, Outcome]
    ) -> None:
        """Fill in records that take long: from the journal, if there is one, or computed."""
        journal = self._journal
        if journal is None:
            self._complete(kind, records, compute)
            return
        for row, form in enumerate(self._forms):
            found = None if records[row] is not None else journal.recall(kind, form)
            if isinstance(found, Outcome):
                failures[row] = found
            elif found is not None:
                records[row] = found
        last = kind.component == self._last

        def on_kept(rows: list[int], failed: list[int]) -> None:
            # What has no energy gets no more; the others may be moved yet.
            journal.settle([*(rows if last else []), *failed])

        on_kept([row for row, record in enumerate(records) if record is not None], [*failures])
        if journal.closed:
            return
        wanted = journaled(journal, kind, self._forms, failures, compute, on_kept)
        self._complete(kind, records, lambda rows: wanted([row for row in rows if row not in failures]))
        on_kept([*range(len(self._forms))], [])

    @property
    def _last(self) -> str:
        """Component of the last record that a crystal gets."""
        if self._options.relax is not None:
            return "relax"
        return "forces" if self._options.return_forces else "energy"

    def _reads_embeddings(self) -> bool:
        """Whether a property asked for reads the embeddings that come with the energy."""
        if Component.PROPERTIES not in self._options.components:
            return False
        return any(
            info.embeddings_of for info in self._instruments.properties.chosen(self._options.properties)
        )

    def _spread(self, *, embedding: bool) -> frozenset[Component]:
        """Structure diversity, if that is what it compares."""
        by_embedding = self._instruments.spread_by_embedding
        return frozenset({Component.STRUCTURE_DIVERSITY} if by_embedding == embedding else ())

    def _complete(self, kind: Kind, records: list[Record | None], compute: Compute) -> None:
        if self._options.use_cache:
            arrived = self._instruments.store.complete(kind, self._forms, records, compute, self._stop)
            self._cached[kind.component] |= arrived
        else:
            for portion in compute([row for row, record in enumerate(records) if record is None]):
                for row, record in portion.items():
                    records[row] = record
        hits = len(self._cached[kind.component])
        self._stats.cache_hits += hits
        self._stats.cache_misses += len(records) - hits

    def _energies(self, rows: list[int]) -> Iterator[Mapping[int, Record]]:
        return energy_records(
            self._instruments.calculators,
            self._forms,
            rows,
            options=self._options,
            stats=self._stats,
            failures=self._failures,
            stop=self._stop,
        )

    def _amd(self, rows: list[int]) -> Iterator[Mapping[int, Record]]:
        for start in range(0, len(rows), _AMD_PORTION):
            if self._stop():
                raise WorkerStoppedError("stopped by the caller")
            part = rows[start : start + _AMD_PORTION]
            batch = CrystalBatch.from_crystals(self._forms[row].crystal for row in part)
            measured = amd_vectors(batch, vector=self._instruments.amd_engine.vector)
            yield {
                row: {"amd": vector}
                for row, vector, status in zip(part, measured.vectors, measured.statuses, strict=True)
                if status is Status.OK
            }
