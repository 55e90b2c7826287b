"""Scores batches: which reference each is measured against, what can be measured, and by which settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from oracle_svc.calculators.base import digest_of
from oracle_svc.crystals.amd import DEFAULT_K
from oracle_svc.known.novelty.matcher import MATCHER_RULE
from oracle_svc.known.reference.folder import Reference
from oracle_svc.pipeline.batch import Batch
from oracle_svc.pipeline.records import Journal
from oracle_svc.pipeline.resources import Resources
from oracle_svc.pipeline.results import Component, Provenance, ScoredBatch, ScoreOptions
from oracle_svc.pipeline.stages import run_stages
from oracle_svc.pools.calculator_process import CalculatorIdentity
from oracle_svc.relaxation.batch import obstacle as relaxation_obstacle
from oracle_svc.status import Outcome
from xenolith.crystal import CrystalBatch
from xenolith.errors import FailedPreconditionError

__all__ = ["Scorer", "foreign_hull"]


class Scorer:
    """Scores batches; thread-safe, so that requests can be served side by side.

    Parameters
    ----------
    resources
        What measures; closed with the scorer.
    """

    def __init__(self, resources: Resources) -> None:
        self.resources = resources

    def close(self) -> None:
        """End the worker processes and close the cache."""
        self.resources.close()

    @property
    def components(self) -> tuple[Component, ...]:
        """Components that can be measured with this calculator and the default reference."""
        default = self.resources.reference("")
        return tuple(component for component in Component if self._obstacle(component, default) is None)

    @property
    def scale(self) -> str:
        """Digest (hex) of calculator, reference and limits: oracles with the same one measure alike."""
        return self._provenance(ScoreOptions(), self.resources.reference("")).settings_digest

    def score(
        self,
        structures: CrystalBatch,
        options: ScoreOptions,
        *,
        stop: Callable[[], bool],
        refused: Mapping[int, Outcome] | None = None,
        journal: Journal | None = None,
        separate: bool = False,
    ) -> ScoredBatch:
        """Score a batch: one result per structure, whatever the structures are.

        Parameters
        ----------
        stop
            Asked between portions of work; once it says True the call ends.
        refused
            Structures that are not to be measured, by index, with the reason.
        journal
            Where measurements are kept as they come, and found again after a restart.
        separate
            Score each structure as if it had come alone: none is compared with the others.

        Raises
        ------
        FailedPreconditionError
            A component was asked for that this calculator and reference cannot give.
        WorkerStoppedError
            `stop` said so.
        """
        batch = Batch(
            resources=self.resources,
            reference=self.resources.reference(options.reference_id),
            structures=structures,
            options=options,
            provenance=self.provenance(options),
            stop=stop,
            refused=refused or {},
            journal=journal,
            separate=separate,
        )
        return run_stages(batch)

    def provenance(self, options: ScoreOptions) -> Provenance:
        """Return the provenance that scores with these options would have.

        Raises
        ------
        FailedPreconditionError
            As `score`.
        """
        reference = self.resources.reference(options.reference_id)
        for component in sorted(options.components):
            obstacle = self.obstacle(component, options)
            if obstacle is not None:
                raise FailedPreconditionError(obstacle)
        lacks = reference is not None and not reference.index.has_structures
        if options.matcher is not None and Component.NOVELTY in options.components and lacks:
            raise FailedPreconditionError(
                "novelty cannot be judged by StructureMatcher, since the reference holds no structures: build"
                " one that does with `xenolith reference build`, judge novelty by AMD, or ask for"
                " uniqueness by StructureMatcher in a call of its own"
            )
        if options.relax is not None or options.return_forces:
            obstacle = self._force_obstacle(options)
            if obstacle is not None:
                raise FailedPreconditionError(obstacle)
        return self._provenance(options, reference)

    def obstacle(self, component: Component, options: ScoreOptions) -> str | None:
        """Return why a component cannot be measured against the reference asked for, or None."""
        lacking = self._obstacle(component, self.resources.reference(options.reference_id))
        return lacking and f"{component.name.lower()} cannot be measured: {lacking}"

    def _obstacle(self, component: Component, reference: Reference | None) -> str | None:
        """Why a component cannot be measured against a reference, or None."""
        missing: str | None = None
        if component is Component.AUDIT:
            if not self.resources.auditors:
                missing = "this oracle has no second calculator; start it with --audit"
        elif component is Component.PROPERTIES:
            if not self.resources.properties.infos:
                missing = "this oracle has none; start it with --properties"
        elif component is Component.STABILITY:
            identity = self.resources.calculators.identity
            missing = None if reference is None else foreign_hull(reference, identity)
        elif component not in {Component.VALIDITY, Component.UNIQUENESS} and reference is None:
            missing = "this oracle has no reference; start it with --reference"
        return missing

    def _force_obstacle(self, options: ScoreOptions) -> str | None:
        """Why what needs forces cannot be measured, or None."""
        identity = self.resources.calculators.identity
        if options.relax is not None:
            return relaxation_obstacle(
                identity.id, identity.offers_forces, identity.offers_stress, options.relax
            )
        return None if identity.offers_forces else f"the calculator {identity.id} gives no forces"

    def _property_digests(self, options: ScoreOptions) -> dict[str, str]:
        """Digests of the properties that are named or asked for.

        Those named count in a call that does not ask for properties too: so a run that trains on one has the
        same settings in all its calls.
        """
        if not (options.properties or Component.PROPERTIES in options.components):
            return {}
        return {info.name: info.digest for info in self.resources.properties.chosen(options.properties)}

    def _provenance(self, options: ScoreOptions, reference: Reference | None) -> Provenance:
        resources, identity = self.resources, self.resources.calculators.identity
        tolerance = resources.amd_tolerance(options, reference)
        digests = self._property_digests(options)
        space = None
        if Component.STRUCTURE_DIVERSITY in options.components:
            space = resources.structure_space(reference)
        return Provenance(
            diversity_features=space.name if space else "",
            property_digests=digests,
            calculator_id=identity.id,
            calculator_version=identity.version,
            calculator_settings=identity.parameters,
            calculator_scheme=identity.scheme,
            reference_id=reference.id if reference is not None else "",
            hull_id=reference.hull_id if reference is not None else "",
            settings_digest=digest_of(self._settings(options, reference, tolerance, digests)),
            amd_tolerance=tolerance,
            matcher=options.matcher,
        )

    def _settings(
        self,
        options: ScoreOptions,
        reference: Reference | None,
        tolerance: float,
        property_digests: Mapping[str, str],
    ) -> dict[str, Any]:
        """Everything that influences a value, in the form whose digest tells settings apart."""
        resources = self.resources
        settings: dict[str, Any] = {
            "schema": 1,
            "calculator": resources.calculators.identity.settings_digest,
            "reference": reference.digest if reference is not None else "",
            "hull": reference.hull_id if reference is not None else "",
            "amd": {"k": DEFAULT_K, "tolerance": tolerance, "engine": resources.amd_engine.name},
            "matcher": {**vars(options.matcher), "rule": MATCHER_RULE} if options.matcher else None,
            "limits": vars(resources.limits),
        }
        # What came later is there only where it is used: settings without it keep their digest.
        if options.relax is not None:
            settings["relax"] = options.relax.digest
        if reference is not None and not resources.compares_embeddings(reference):
            settings["diversity"] = "amd"
        if property_digests:
            settings["properties"] = property_digests
        # Those named count in a call without audit too: so a run that listens to them has one scale.
        if Component.AUDIT in options.components or options.audit_calculator_ids:
            settings["audits"] = {
                auditor.id: [auditor.settings_digest, auditor.hull_id]
                for auditor in resources.chosen_auditors(options.audit_calculator_ids)
            }
        return settings


def foreign_hull(reference: Reference, identity: CalculatorIdentity) -> str | None:
    """Return why energies of a calculator cannot be put on a reference's hull, or None.

    A hull that a calculator made serves that calculator alone; an imported one serves its scheme.
    """
    if reference.hull is None:
        return None
    if reference.calculator_digest == identity.settings_digest:
        return None
    if reference.hull_is_declared and reference.hull_scheme == identity.scheme:
        return None
    return (
        f"the hull of the reference {reference.id} was computed by {reference.calculator_id}, scheme"
        f" {reference.hull_scheme!r} ({reference.calculator_digest[:12] or 'imported'}), this oracle's"
        f" calculator is {identity.id}, scheme {identity.scheme!r} ({identity.settings_digest[:12]});"
        " start it with its own hull (--hull; xenolith judge builds one), with --hull none for energies"
        " alone, or with a reference of the same calculator or imported of the same scheme"
    )
