"""From settings to a service that is ready to serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import structlog

from oracle_svc.cache import open_cache
from oracle_svc.calculators import prepare_calculator, takes_long
from oracle_svc.crystals.amd_engines import open_amd_engine
from oracle_svc.crystals.validity import ValidityLimits
from oracle_svc.known.novelty.matcher import PairMatcher
from oracle_svc.known.reference.folder import Reference
from oracle_svc.known.reference.hull_folder import CalculatorHull, find_hull, read_hull, with_hull
from oracle_svc.known.reference.manifest import MANIFEST
from oracle_svc.pipeline.auditors import open_auditors
from oracle_svc.pipeline.resources import Resources
from oracle_svc.pipeline.scorer import Scorer, foreign_hull
from oracle_svc.pools.calculator_pool import CalculatorIdentity, CalculatorPool
from oracle_svc.pools.jobs import JobSettings
from oracle_svc.properties.shelf import PropertyShelf
from oracle_svc.service.merging import MergeSettings
from oracle_svc.service.operations import OperationSettings
from oracle_svc.service.servicer import OracleService
from oracle_svc.service.settings import OracleSettings
from xenolith.bundle import find_bundle
from xenolith.errors import FailedPreconditionError
from xenolith.v1 import oracle_pb2

__all__ = ["describe", "open_service", "request_limits"]

log = structlog.get_logger(__name__)
_LIMIT_S = 60.0
_RELAXATION_LIMIT_S = 600.0
_JOB_LIMIT_S = 14400.0


def open_service(settings: OracleSettings) -> OracleService:
    """Open reference and cache, start the calculator's processes, and make the service.

    Raises
    ------
    BundleError, BadReferenceError, ValueError
        A part is missing or damaged; the message says what to do.
    WorkerError
        The calculator could not be started.
    """
    references = [Reference.read(path) for path in reference_paths(settings.reference)]
    for reference in references:
        reference.prepare()  # what is unfit is refused before processes start
    cache = open_cache(
        settings.cache, max_bytes=settings.cache_max_mb * 2**20, ttl_s=settings.cache_ttl_days * 86400.0
    )
    # Not among the settings by which a hull is found: a device changes no energy.
    on_device = {"device": settings.device} if settings.device else {}
    prepare_calculator(settings.calculator, settings.calculator_settings)
    jobs = _jobs(settings)
    calculators = CalculatorPool(
        calculator=settings.calculator,
        settings={**on_device, **settings.calculator_settings},
        workers=settings.workers,
        threads=settings.worker_threads,
        atoms_per_batch=settings.atoms_per_batch,
        structure_limit_s=settings.structure_limit_s or (_JOB_LIMIT_S if jobs else _LIMIT_S),
        relaxation_limit_s=settings.relaxation_limit_s or (_JOB_LIMIT_S if jobs else _RELAXATION_LIMIT_S),
        jobs=jobs,
    )
    try:
        references = _on_hull(settings, references, calculators.identity)
        auditors = open_auditors(
            settings.audit,
            workers=settings.workers,
            atoms_per_batch=settings.atoms_per_batch,
            structure_limit_s=settings.structure_limit_s or _LIMIT_S,
        )
    except BaseException:
        calculators.close()
        raise
    resources = Resources(
        calculators=calculators,
        references=references,
        cache=cache,
        limits=ValidityLimits(max_atoms=settings.max_atoms, min_distance=settings.min_distance),
        matcher=PairMatcher(workers=settings.matcher_workers, pair_limit_s=settings.matcher_limit_s),
        amd_engine=open_amd_engine(settings.amd_engine),
        auditors=auditors,
        properties=PropertyShelf(
            settings.properties,
            calculator_digest=calculators.identity.settings_digest,
            workers=settings.property_workers,
            limit_s=settings.property_limit_s,
        ),
    )
    scorer = Scorer(resources)
    log.info(
        "oracle ready",
        calculator=calculators.identity.id,
        workers=calculators.workers,
        reference=", ".join(known.id for known in references) or "none",
        hull=references[0].hull_id if references else "none",
        cache=cache.name,
    )
    try:
        return OracleService(
            scorer,
            describe(
                scorer,
                max_batch=settings.max_batch,
                limits=request_limits(settings, as_jobs=jobs is not None),
            ),
            threads=settings.threads,
            operations=_operations(settings),
            merging=_merging(settings, calculators.identity),
        )
    except BaseException:
        scorer.close()
        raise


def _on_hull(
    settings: OracleSettings, references: Sequence[Reference], identity: CalculatorIdentity
) -> list[Reference]:
    """The references, with the hull that the settings name for this calculator.

    Raises
    ------
    BadReferenceError
        The hull cannot be read.
    FailedPreconditionError
        It is another calculator's.
    """
    if settings.hull == "none":
        return [with_hull(reference, None) for reference in references]
    if settings.hull not in {"auto", "any"}:
        own = _own_hull(Path(settings.hull), identity)
        return [with_hull(reference, own) for reference in references]
    if not any(foreign_hull(known, identity) for known in references):
        return list(references)
    folder = find_hull(settings.calculator, settings.calculator_settings)
    if folder is None and settings.hull == "auto":
        return list(references)
    found = None if folder is None else _own_hull(folder, identity)
    log.info("the calculator's own hull is used", hull="none" if found is None else found.id)
    return [with_hull(known, found) if foreign_hull(known, identity) else known for known in references]


def _own_hull(folder: Path, identity: CalculatorIdentity) -> CalculatorHull:
    own = read_hull(folder)
    if own.calculator_digest != identity.settings_digest:
        raise FailedPreconditionError(
            f"the hull in {folder} is of {own.calculator_id} ({own.calculator_digest[:12]}), not of"
            f" {identity.id} ({identity.settings_digest[:12]}): build its own, xenolith judge --help"
        )
    return own


def _jobs(settings: OracleSettings) -> JobSettings | None:
    """How long calculations run; None for a calculator that lives in worker processes."""
    backend = settings.jobs
    if backend == "auto":
        backend = "local" if takes_long(settings.calculator, settings.calculator_settings) else "none"
    if backend == "none":
        return None
    if settings.state == "none":
        raise ValueError(
            f"{settings.calculator} runs as jobs, which are kept in the state folder: give --state FOLDER"
        )
    return JobSettings(folder=Path(settings.state) / "jobs", backend=backend, options=settings.job_options)


def _operations(settings: OracleSettings) -> OperationSettings | None:
    if settings.state == "none":
        return None
    return OperationSettings(
        folder=Path(settings.state),
        at_once=settings.operations_at_once,
        most=settings.max_operations,
        retention_s=settings.retention_days * 86400.0,
    )


def _merging(settings: OracleSettings, identity: CalculatorIdentity) -> MergeSettings | None:
    if settings.merge_most == 1 or identity.long_running:
        return None
    return MergeSettings(
        most=settings.merge_most,
        window_s=settings.merge_window_ms / 1e3,
        patience_s=settings.merge_patience_s,
        at_once=settings.threads,
        max_atoms=settings.atoms_per_batch,
    )


def reference_paths(references: str) -> list[Path]:
    """Folders of comma-separated references, each given as such, as a bundle's folder or as a bundle's name.

    Parameters
    ----------
    references
        The first is the default; `none` for no reference at all.

    Raises
    ------
    BundleError
        There is no such folder or bundle.
    """
    names = [name.strip() for name in references.split(",") if name.strip()]
    if names == ["none"]:
        return []
    return [Path(name) if (Path(name) / MANIFEST).exists() else find_bundle(name).reference for name in names]


def request_limits(settings: OracleSettings, *, as_jobs: bool) -> dict[str, float]:
    """Return the most that requests may ask for, by the field's path; a caller's patience is within ours."""
    usual = (_JOB_LIMIT_S,) if as_jobs else (_LIMIT_S, _RELAXATION_LIMIT_S)
    return {
        "crystals.num_atoms": settings.max_batch,
        "known.num_atoms": settings.max_known,
        "settings.relax.max_steps": settings.max_relax_steps,
        "settings.structure_timeout_s": max(
            settings.structure_limit_s or usual[0], settings.relaxation_limit_s or usual[-1]
        ),
        "retention": settings.max_retention_days * 86400.0,
    }


def describe(
    scorer: Scorer, *, max_batch: int, limits: Mapping[str, float] | None = None
) -> oracle_pb2.OracleServiceDescribeResponse:
    """Return the answer to Describe."""
    resources = scorer.resources
    identity, validity = resources.calculators.identity, resources.limits
    response = oracle_pb2.OracleServiceDescribeResponse(
        service_version=version("xenolith"),
        components=[f"COMPONENT_{component.name}" for component in scorer.components],
        calculators=[
            oracle_pb2.CalculatorInfo(
                id=identity.id,
                version=identity.version,
                scheme=identity.scheme,
                elements=sorted(identity.elements),
                licence=identity.licence,
                supports_relaxation=identity.offers_forces,
                long_running=identity.long_running,
                settings=identity.settings,
            )
        ],
        max_atoms=validity.max_atoms,
        max_batch=max_batch,
        validity_limits=oracle_pb2.ValidityLimits(
            min_distance=validity.min_distance,
            min_density=validity.min_density,
            max_density=validity.max_density,
            min_volume_per_atom=validity.min_volume_per_atom,
            max_volume_per_atom=validity.max_volume_per_atom,
            max_cell_condition=validity.max_cell_condition,
        ),
        audit_calculators=[
            oracle_pb2.CalculatorInfo(
                id=auditor.id,
                version=auditor.version,
                scheme=auditor.scheme,
                elements=auditor.elements,
                licence=auditor.licence,
            )
            for auditor in resources.auditors.values()
        ],
        properties=[
            oracle_pb2.PropertyInfo(
                name=info.name,
                unit=info.unit,
                description=info.description,
                digest=info.digest,
                licence=info.licence,
            )
            for info in resources.properties.infos.values()
        ],
        cache_backend=resources.store.cache.name.partition(":")[0],
        limits=limits,
    )
    for reference in resources.references:
        response.references.add(
            id=reference.id,
            num_structures=len(reference),
            hull_id=reference.hull_id,
            hull_calculator_id=reference.calculator_id if reference.hull else "",
            hull_elements=sorted(reference.hull.elements) if reference.hull else [],
            hull_scheme=reference.hull_scheme,
            licence=reference.licence,
            has_structures=reference.index.has_structures,
        )
    return response
