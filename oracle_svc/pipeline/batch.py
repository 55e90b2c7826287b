"""One batch on its way through the stages, with what is known of it so far."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from oracle_svc.cache.store import Compute, Kind
from oracle_svc.crystals.canonical import CanonicalForm
from oracle_svc.known.reference.folder import Reference
from oracle_svc.pipeline.records import Journal, Records, journaled, recall
from oracle_svc.pipeline.resources import Resources
from oracle_svc.pipeline.results import Component, Provenance, Score, ScoreOptions, Stats
from oracle_svc.pools.worker_pool import WorkerStoppedError
from oracle_svc.status import Outcome, Status
from xenolith.crystal import CrystalBatch

__all__ = ["Batch"]


@dataclass(kw_only=True)
class Batch:
    """A batch of structures, how to score them, and their scores as they grow.

    A crystal is measured in its primitive cell on a reduced basis: all its descriptions get one score, and
    the smallest is the cheapest. So most stages work on the *distinct crystals* of the batch.
    """

    resources: Resources
    """Calculators, references and the cache."""
    reference: Reference | None
    """Known crystals and hull to compare with; None for an oracle without any."""
    structures: CrystalBatch
    """The structures as given."""
    options: ScoreOptions
    """Components asked for, and how to measure them."""
    provenance: Provenance
    """Settings and sources of the scores, resolved."""
    stop: Callable[[], bool]
    """Asked between portions of work; once it says True, scoring ends."""
    refused: Mapping[int, Outcome] = field(default_factory=dict)
    """Structures that are not to be measured, by index, with the reason."""
    journal: Journal | None = None
    """Where measurements that take long are kept as they come; None: the cache alone keeps them."""
    separate: bool = False
    """Whether each structure is a request of its own, so that none is compared with the others."""

    scores: list[Score] = field(init=False)
    """One of each structure."""
    forms: list[CanonicalForm] = field(init=False, default_factory=list)
    """The distinct crystals of the batch."""
    form_of: dict[int, int] = field(init=False, default_factory=dict)
    """Distinct crystal of each structure that passed the validity gate."""
    energies: Records = field(init=False)
    """`energy_per_atom` of distinct crystals, and `embedding` where the calculator gives one."""
    amd: Records = field(init=False)
    """`amd` of distinct crystals."""
    stats: Stats = field(init=False, default_factory=Stats)
    """Cache hits, calculator calls and seconds so far."""
    costs: dict[int, Stats] = field(init=False, default_factory=dict)
    """Share of each distinct crystal in these counts."""
    warnings: list[str] = field(init=False, default_factory=list)
    """Notes for the caller."""

    def __post_init__(self) -> None:
        self.scores = [Score() for _ in range(len(self.structures))]
        self.energies = Records(kind=self.resources.energy_kind, forms={})
        self.amd = Records(kind=self.resources.amd_kind, forms={})

    @property
    def need_energy(self) -> frozenset[Component]:
        """Components asked for that need an energy or the embedding that comes with it."""
        needed = {Component.STABILITY}
        if self.resources.compares_embeddings(self.reference):
            needed.add(Component.STRUCTURE_DIVERSITY)
        if Component.PROPERTIES in self.options.components:
            chosen = self.resources.properties.chosen(self.options.properties)
            needed |= {Component.PROPERTIES} if any(info.embeddings_of for info in chosen) else set()
        return self.options.components & needed

    @property
    def need_amd(self) -> frozenset[Component]:
        """Components asked for that need an AMD vector."""
        needed = {Component.NOVELTY, Component.UNIQUENESS, Component.CONTINUOUS}
        if not self.resources.compares_embeddings(self.reference):
            needed.add(Component.STRUCTURE_DIVERSITY)
        return self.options.components & needed

    @property
    def wants_energy(self) -> bool:
        """Whether an energy is needed at all."""
        return bool(self.need_energy) or self.options.return_embeddings or self.options.return_forces

    @property
    def wants_amd(self) -> bool:
        """Whether an AMD vector is needed at all."""
        return bool(self.need_amd) or self.options.return_amd

    def check_stop(self) -> None:
        """Raise if the caller has gone.

        Raises
        ------
        WorkerStoppedError
            `stop` said so.
        """
        if self.stop():
            raise WorkerStoppedError("stopped by the caller")

    def crystals(self, rows: Sequence[int]) -> CrystalBatch:
        """Return distinct crystals by row."""
        return CrystalBatch.from_crystals(self.forms[row].crystal for row in rows)

    def no_energy(self, row: int) -> Outcome:
        """Return why a distinct crystal has no energy."""
        nothing = Outcome(status=Status.CALCULATOR_FAILED, message="no energy came back")
        if self.journal is not None and self.journal.closed:
            nothing = Outcome(status=Status.SKIPPED, message="not measured yet, or cancelled before it was")
        return self.energies.failures.get(row, nothing)

    def obtain(
        self, kind: Kind, compute: Compute, *, rows: Sequence[int] | None = None, long: bool = False
    ) -> Records:
        """Return measurements of a kind, from the cache or computed.

        Parameters
        ----------
        kind
            What is measured.
        compute
            Measures the crystals of some rows.
        rows
            Distinct crystals wanted; None: all.
        long
            It takes long: the journal keeps it too, if there is one.
        """
        (records,) = self.look_up([kind], rows)
        self.complete(records, compute, long=long)
        return records

    def look_up(self, kinds: Sequence[Kind], rows: Sequence[int] | None = None) -> list[Records]:
        """Read measurements of several kinds from the cache, in one exchange."""
        forms = {row: self.forms[row] for row in (range(len(self.forms)) if rows is None else rows)}
        kept = self.resources.store.fetch(kinds, forms) if self.options.use_cache else {}
        found = [kept.get(kind.component, {}) for kind in kinds]
        return [
            Records(kind=kind, forms=forms, found=records, cached=set(records))
            for kind, records in zip(kinds, found, strict=True)
        ]

    def complete(self, records: Records, compute: Compute, *, long: bool = False) -> None:
        """Compute the measurements that are missing, or wait where another call computes them; count all."""
        journal = self.journal if long else None
        if journal is None:
            self._complete(records, compute)
            return
        recall(journal, records)
        last = records.kind.component == self._last

        def settle(measured: Sequence[int], failed: Sequence[int]) -> None:
            # What has no energy gets no more; the others may be moved yet.
            journal.settle([*(measured if last else []), *failed])

        settle([*records.found], [*records.failures])
        if journal.closed:
            return
        self._complete(records, journaled(journal, records, compute, settle))
        settle([*records.forms], [])

    @property
    def _last(self) -> str:
        """Kind of the last measurement that takes long."""
        if self.options.relax is not None:
            return "relax"
        return "forces" if self.options.return_forces else "energy"

    def _complete(self, records: Records, compute: Compute) -> None:
        if self.options.use_cache:
            store = self.resources.store
            records.cached |= store.complete(records.kind, records.forms, records.found, compute, self.stop)
        else:
            for portion in compute([row for row in records.forms if row not in records.found]):
                records.found.update(portion)
        self.count(records.cached, cache_hits=1)
        self.count(records.forms.keys() - records.cached, cache_misses=1)

    def count(self, rows: Collection[int], **each: int) -> None:
        """Add to the cost of some distinct crystals, and to that of the batch.

        Parameters
        ----------
        each
            Counts of `Stats`, by name, for each of the crystals.
        """
        for name, number in each.items():
            setattr(self.stats, name, getattr(self.stats, name) + number * len(rows))
            for row in rows if self.separate else ():
                cost = self.costs.setdefault(row, Stats())
                setattr(cost, name, getattr(cost, name) + number)

    def shares(self) -> tuple[Stats, ...]:
        """Return the cost of each structure as if it had come alone; of the seconds it has an even part."""
        seconds = {name: spent / max(1, len(self.scores)) for name, spent in self.stats.seconds.items()}
        alone = [self.costs.get(self.form_of.get(index, -1), Stats()) for index in range(len(self.scores))]
        return tuple(replace(cost, seconds=dict(seconds)) for cost in alone)
