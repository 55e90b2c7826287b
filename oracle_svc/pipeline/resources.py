"""What batches are measured with: calculators, what is known, the cache, and what else the stages share."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from copy import copy
from threading import Lock

from oracle_svc.cache import Cache
from oracle_svc.cache.store import CrystalStore, Kind
from oracle_svc.crystals.amd import DEFAULT_TOLERANCE, amd_vectors
from oracle_svc.crystals.amd_engines import NATIVE, AmdEngine
from oracle_svc.crystals.validity import ValidityLimits
from oracle_svc.known.background import Background
from oracle_svc.known.diversity.contributions import FeatureSpace
from oracle_svc.known.novelty.matcher import PairMatcher
from oracle_svc.known.novelty.sameness import GivenCrystals
from oracle_svc.pipeline.auditors import Auditor
from oracle_svc.pipeline.recognition import Recogniser
from oracle_svc.pipeline.results import ScoreOptions
from oracle_svc.pipeline.totals import Totals
from oracle_svc.pools.calculator_pool import CalculatorPool
from oracle_svc.properties.shelf import PropertyShelf
from oracle_svc.status import Status
from xenolith.crystal import CrystalBatch
from xenolith.errors import invalid_field

__all__ = ["Instruments"]

_KNOWN_KEPT = 4


class Instruments:
    """What every batch of one oracle is measured with; thread-safe.

    Parameters
    ----------
    calculators
        Where energies come from.
    background
        What is known; None for an oracle without a reference, which measures energies and uniqueness alone.
    cache
        Where measurements are kept.
    limits
        Limits of the validity gate.
    matcher
        StructureMatcher's processes.
    amd_engine
        What computes AMD vectors.
    properties
        What predicts properties; None: what ships and what is installed.
    auditors
        Second calculators; the scoring one, should it be among them, is left out.
    """

    def __init__(
        self,
        *,
        calculators: CalculatorPool,
        background: Background | None,
        cache: Cache,
        limits: ValidityLimits,
        matcher: PairMatcher,
        amd_engine: AmdEngine = NATIVE,
        properties: PropertyShelf | None = None,
        auditors: Sequence[Auditor] = (),
    ) -> None:
        self.calculators = calculators
        self.background = background
        self.limits = limits
        self.matcher = matcher
        self.amd_engine = amd_engine
        self.properties = properties or PropertyShelf(calculator_digest=calculators.identity.settings_digest)
        self.auditors = {
            auditor.id: auditor
            for auditor in auditors
            if auditor.settings_digest != calculators.identity.settings_digest
        }
        self.store = CrystalStore(cache)
        self.totals = Totals()
        self.recogniser = Recogniser(limits, calculators.identity.elements, cache)
        self._share_hull()
        self.energy_kind = Kind(component="energy", digest=calculators.identity.settings_digest)
        self._known: OrderedDict[str, tuple[GivenCrystals, tuple[str, ...]]] = OrderedDict()
        self._lock = Lock()

    def against(self, background: Background) -> Instruments:
        """Return the same instruments beside another reference: all but what is known is shared."""
        other = copy(self)
        other.background = background
        other._share_hull()
        return other

    def close(self) -> None:
        """End the worker processes and close the cache."""
        self.calculators.close()
        self.matcher.close()
        self.properties.close()
        for auditor in self.auditors.values():
            auditor.close()
        self.store.cache.close()

    def _share_hull(self) -> None:
        """Exchange hulls of chemical systems with other replicas through the cache."""
        if self.background is not None and self.background.hull is not None:
            self.background.hull.share(self.store.cache, self.background.digest)

    def known(self, batch: CrystalBatch) -> tuple[GivenCrystals, tuple[str, ...]]:
        """The caller's own known crystals, named `known:<index>`, and warnings about unusable ones.

        The last few sets are kept: a run sends the same one with every batch.
        """
        columns = (batch.num_atoms, batch.lattices, batch.numbers, batch.frac_coords)
        digest = hashlib.sha256(b"".join(column.tobytes() for column in columns)).hexdigest()
        with self._lock:
            if digest in self._known:
                self._known.move_to_end(digest)
                return self._known[digest]
        made = _known_crystals(batch, self.amd_engine)
        with self._lock:
            self._known[digest] = made
            if len(self._known) > _KNOWN_KEPT:
                self._known.popitem(last=False)
        return made

    def chosen_auditors(self, ids: Sequence[str]) -> tuple[Auditor, ...]:
        """Return the auditors of these ids, all there are if there are none.

        Raises
        ------
        InvalidArgumentError
            An id is unknown.
        """
        for place, name in enumerate(ids):
            if name not in self.auditors:
                known = ", ".join(sorted(self.auditors)) or "none"
                field = f"settings.audit_calculator_ids[{place}]"
                raise invalid_field(field, f"is {name!r}, and the second calculators here are {known}")
        return tuple(self.auditors[name] for name in dict.fromkeys(ids or sorted(self.auditors)))

    def amd_tolerance(self, options: ScoreOptions) -> float:
        """AMD distance of the same crystal, resolved, Angstrom."""
        if options.amd_tolerance is not None:
            return options.amd_tolerance
        return self.background.amd_tolerance if self.background else DEFAULT_TOLERANCE

    @property
    def spread_by_embedding(self) -> bool:
        """Whether structure diversity compares embeddings; else AMD and composition."""
        return (
            self.background is not None
            and self.background.has_embeddings
            and self.background.calculator_digest == self.calculators.identity.settings_digest
        )

    def structure_space(self) -> FeatureSpace | None:
        """Return the space of structure diversity; None without a reference."""
        if self.background is None:
            return None
        return self.background.structure_space if self.spread_by_embedding else self.background.amd_space()


def _known_crystals(batch: CrystalBatch, engine: AmdEngine) -> tuple[GivenCrystals, tuple[str, ...]]:
    measured = amd_vectors(batch, vector=engine.vector)
    good = [index for index, status in enumerate(measured.statuses) if status is Status.OK]
    warnings = tuple(
        f"known:{index} is left out: {message}"
        for index, (status, message) in enumerate(zip(measured.statuses, measured.messages, strict=True))
        if status is not Status.OK
    )
    crystals = GivenCrystals(
        ids=[f"known:{index}" for index in good],
        crystals=[batch[index] for index in good],
        amd=measured.vectors[good],
    )
    return crystals, warnings
