"""The resources that all batches of an oracle share: calculators, references, the cache, worker processes."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from oracle_svc.cache import Cache
from oracle_svc.cache.store import CrystalStore, Kind
from oracle_svc.calculators.base import digest_of
from oracle_svc.crystals.amd import DEFAULT_K, DEFAULT_TOLERANCE, amd_vectors
from oracle_svc.crystals.amd_engines import NATIVE, AmdEngine
from oracle_svc.crystals.validity import ValidityLimits
from oracle_svc.known.diversity.contributions import FeatureSpace
from oracle_svc.known.novelty.known_index import GivenCrystals
from oracle_svc.known.novelty.matcher import PairMatcher
from oracle_svc.known.reference.folder import Reference
from oracle_svc.pipeline.auditors import AnyAuditor
from oracle_svc.pipeline.descriptions import Recogniser
from oracle_svc.pipeline.results import ScoreOptions
from oracle_svc.pools.calculator_pool import CalculatorPool
from oracle_svc.pools.worker_pool import WorkerStoppedError
from oracle_svc.properties.shelf import PropertyShelf
from oracle_svc.status import Status
from xenolith.crystal import CrystalBatch
from xenolith.errors import FailedPreconditionError, invalid_field

__all__ = ["Resources"]

_KNOWN_KEPT = 4


class Resources:
    """Everything that the batches of one oracle are measured with; thread-safe.

    Parameters
    ----------
    calculators
        Where energies come from.
    references
        What structures can be compared with, the first by default; without any, an oracle measures energies
        and uniqueness alone.
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

    Raises
    ------
    BadReferenceError
        A reference is not fit for use; see `Reference.prepare`.
    FailedPreconditionError
        An auditor with other settings has the scoring calculator's id.
    """

    def __init__(
        self,
        *,
        calculators: CalculatorPool,
        references: Sequence[Reference] = (),
        cache: Cache,
        limits: ValidityLimits,
        matcher: PairMatcher,
        amd_engine: AmdEngine = NATIVE,
        properties: PropertyShelf | None = None,
        auditors: Sequence[AnyAuditor] = (),
    ) -> None:
        identity = calculators.identity
        self.calculators = calculators
        self.references = tuple(references)
        self.limits = limits
        self.matcher = matcher
        self.amd_engine = amd_engine
        self.properties = properties or PropertyShelf(calculator_digest=identity.settings_digest)
        self.auditors = {
            auditor.id: auditor for auditor in auditors if auditor.settings_digest != identity.settings_digest
        }
        if identity.id in self.auditors:
            raise FailedPreconditionError(
                f"audit: {identity.id} is what this oracle scores with, and no second opinion; name another"
            )
        self.store = CrystalStore(cache)
        self.recogniser = Recogniser(limits, identity.elements, cache)
        self.energy_kind = Kind(component="energy", digest=identity.settings_digest)
        amd = digest_of({"amd": 1, "k": DEFAULT_K, "engine": amd_engine.name})
        self.amd_kind = Kind(component="amd", digest=amd)
        for reference in self.references:
            reference.prepare()
            if reference.hull is not None:  # replicas exchange hulls of chemical systems through the cache
                reference.hull.share(cache, reference.digest)
        self._known: OrderedDict[str, tuple[GivenCrystals, tuple[str, ...]]] = OrderedDict()
        self._lock = Lock()

    def close(self) -> None:
        """End the worker processes and close the cache."""
        self.calculators.close()
        self.matcher.close()
        self.properties.close()
        for auditor in self.auditors.values():
            auditor.close()
        self.store.cache.close()

    def reference(self, name: str) -> Reference | None:
        """Return the reference of an id, the default for an empty one; None for an oracle without references.

        Raises
        ------
        FailedPreconditionError
            There is no such reference here.
        """
        default = self.references[0] if self.references else None
        if name in {"", "none" if default is None else default.id}:
            return default
        for reference in self.references:
            if reference.id == name:
                return reference
        names = " or ".join(reference.id for reference in self.references) or "none"
        raise FailedPreconditionError(f"this oracle's reference is {names}, not {name}")

    def known_crystals(
        self, batch: CrystalBatch, stop: Callable[[], bool] = lambda: False
    ) -> tuple[GivenCrystals, tuple[str, ...]]:
        """Return the caller's own known crystals, named `known:<index>`, and warnings about unusable ones.

        The last few sets are kept: a run sends the same one with every batch.

        Raises
        ------
        WorkerStoppedError
            `stop` said so.
        """
        columns = (batch.num_atoms, batch.lattices, batch.numbers, batch.frac_coords)
        digest = hashlib.sha256(b"".join(column.tobytes() for column in columns)).hexdigest()
        with self._lock:
            if digest in self._known:
                self._known.move_to_end(digest)
                return self._known[digest]
        made = _known_crystals(batch, self.amd_engine, stop)
        with self._lock:
            self._known[digest] = made
            if len(self._known) > _KNOWN_KEPT:
                self._known.popitem(last=False)
        return made

    def chosen_auditors(self, ids: Sequence[str]) -> tuple[AnyAuditor, ...]:
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

    def amd_tolerance(self, options: ScoreOptions, reference: Reference | None) -> float:
        """Return the AMD distance up to which crystals are the same, resolved, Angstrom."""
        if options.amd_tolerance is not None:
            return options.amd_tolerance
        return reference.amd_tolerance if reference is not None else DEFAULT_TOLERANCE

    def compares_embeddings(self, reference: Reference | None) -> bool:
        """Whether structure diversity compares embeddings; else AMD and composition."""
        return (
            reference is not None
            and reference.has_embeddings
            and reference.calculator_digest == self.calculators.identity.settings_digest
        )

    def structure_space(self, reference: Reference | None) -> FeatureSpace | None:
        """Return the space of structure diversity; None without known structures."""
        if reference is None or not len(reference):
            return None
        return reference.embedding_space if self.compares_embeddings(reference) else reference.amd_space


def _known_crystals(
    batch: CrystalBatch, engine: AmdEngine, stop: Callable[[], bool]
) -> tuple[GivenCrystals, tuple[str, ...]]:
    def vector(lattice: NDArray[np.float64], frac_coords: NDArray[np.float64], k: int) -> NDArray[np.float64]:
        if stop():
            raise WorkerStoppedError("stopped by the caller")
        return engine.vector(lattice, frac_coords, k)

    measured = amd_vectors(batch, vector=vector)
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
