"""The oracle's pipeline: what scores are measured against, and one batch on its way through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from oracle_svc.calculators.base import digest_of
from oracle_svc.crystals.amd import DEFAULT_K
from oracle_svc.known.background import Background
from oracle_svc.pipeline.batch_run import BatchRun
from oracle_svc.pipeline.journal import Journal
from oracle_svc.pipeline.resources import Instruments
from oracle_svc.pipeline.results import Component, Provenance, ScoredBatch, ScoreOptions
from oracle_svc.relaxation.batch import obstacle as relaxation_obstacle
from oracle_svc.status import Outcome
from xenolith.crystal import CrystalBatch
from xenolith.errors import FailedPreconditionError

__all__ = ["Scorer"]


class Scorer:
    """Scores batches; thread-safe, so that requests can be served side by side.

    Parameters
    ----------
    instruments
        What to measure with, and the reference that requests are scored against by default.
    """

    def __init__(self, instruments: Instruments) -> None:
        self.instruments = instruments
        self._others: dict[str, Scorer] = {}

    def add_reference(self, background: Background) -> None:
        """Score against this reference too, where a request asks for it by its id."""
        self._others[background.id] = Scorer(self.instruments.against(background))

    @property
    def backgrounds(self) -> list[Background]:
        """All references, the default first."""
        own = [self._background] if self._background else []
        return own + [other._background for other in self._others.values() if other._background]

    def close(self) -> None:
        """End the worker processes and close the cache."""
        self.instruments.close()

    @property
    def components(self) -> tuple[Component, ...]:
        """What can be measured with this calculator and reference."""
        return tuple(component for component in Component if self._obstacle(component) is None)

    @property
    def scale(self) -> str:
        """Digest (hex) of calculator, reference and limits: oracles with the same one measure alike."""
        return self._provenance(ScoreOptions()).settings_digest

    def score(
        self,
        batch: CrystalBatch,
        options: ScoreOptions,
        *,
        stop: Callable[[], bool],
        refused: Mapping[int, Outcome] | None = None,
        journal: Journal | None = None,
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

        Raises
        ------
        FailedPreconditionError
            A component was asked for that this calculator and reference cannot give.
        WorkerStoppedError
            `stop` said so.
        """
        chosen = self._chosen(options)
        provenance = chosen.provenance(options)
        scored = BatchRun(chosen.instruments, batch, options, provenance, stop, refused or {}, journal).run()
        self.instruments.totals.add(scored)
        return scored

    def provenance(self, options: ScoreOptions) -> Provenance:
        """What would measure with these options.

        Raises
        ------
        FailedPreconditionError
            As `score`.
        """
        chosen = self._chosen(options)
        if chosen is not self:
            return chosen.provenance(options)
        for component in sorted(options.components):
            obstacle = self.obstacle(component, options)
            if obstacle is not None:
                raise FailedPreconditionError(obstacle)
        lacks = self._background is not None and not self._background.known.index.has_structures
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
        return self._provenance(options)

    @property
    def _background(self) -> Background | None:
        return self.instruments.background

    def _chosen(self, options: ScoreOptions) -> Scorer:
        """The scorer against the reference that was asked for."""
        wanted = options.reference_id
        if wanted in {"", self._background.id if self._background else "none"}:
            return self
        if wanted not in self._others:
            names = " or ".join(background.id for background in self.backgrounds) or "none"
            raise FailedPreconditionError(f"this oracle's reference is {names}, not {wanted}")
        return self._others[wanted]

    def obstacle(self, component: Component, options: ScoreOptions) -> str | None:
        """Why a component cannot be measured against the reference asked for, or None."""
        lacking = self._chosen(options)._obstacle(component)
        return lacking and f"{component.name.lower()} cannot be measured: {lacking}"

    def _obstacle(self, component: Component) -> str | None:
        """Why a component cannot be measured, or None."""
        if component is Component.AUDIT:
            return (
                None
                if self.instruments.auditors
                else "this oracle has no second calculator; start it with --audit"
            )
        if component is Component.PROPERTIES:
            return (
                None
                if self.instruments.properties.infos
                else "this oracle has none; start it with --properties"
            )
        if component in {Component.VALIDITY, Component.UNIQUENESS, Component.STABILITY}:
            return self._foreign_hull() if component is Component.STABILITY else None
        if self._background is None:
            return "this oracle has no reference; start it with --reference"
        return None

    def _force_obstacle(self, options: ScoreOptions) -> str | None:
        """Why what needs forces cannot be measured, or None."""
        identity = self.instruments.calculators.identity
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
        return {info.name: info.digest for info in self.instruments.properties.chosen(options.properties)}

    def _foreign_hull(self) -> str | None:
        """Why energies of this calculator cannot be put on the reference's hull, or None.

        A hull that a calculator made serves that calculator alone; an imported one serves its scheme.
        """
        background, identity = self._background, self.instruments.calculators.identity
        if background is None or background.hull is None:
            return None
        if background.calculator_digest == identity.settings_digest:
            return None
        if background.hull_is_declared and background.hull_scheme == identity.scheme:
            return None
        return (
            f"the hull of the reference {background.id} was computed by {background.calculator_id}, scheme"
            f" {background.hull_scheme!r} ({background.calculator_digest[:12] or 'imported'}), this oracle's"
            f" calculator is {identity.id}, scheme {identity.scheme!r} ({identity.settings_digest[:12]});"
            " start it with a reference of the same calculator, or an imported one of the same scheme"
        )

    def _provenance(self, options: ScoreOptions) -> Provenance:
        identity, background = self.instruments.calculators.identity, self._background
        tolerance = self.instruments.amd_tolerance(options)
        settings = {
            "schema": 1,
            "calculator": identity.settings_digest,
            "reference": background.digest if background else "",
            "hull": background.hull_id if background else "",
            "amd": {"k": DEFAULT_K, "tolerance": tolerance, "engine": self.instruments.amd_engine.name},
            "matcher": vars(options.matcher) if options.matcher else None,
            "limits": vars(self.instruments.limits),
            **({"relax": options.relax.digest} if options.relax is not None else {}),
            **(
                {}
                if self._background is None or self.instruments.spread_by_embedding
                else {"diversity": "amd"}
            ),
        }
        spread = Component.STRUCTURE_DIVERSITY in options.components
        space = self.instruments.structure_space() if spread else None
        digests = self._property_digests(options)
        if digests:
            settings["properties"] = digests
        if Component.AUDIT in options.components:
            settings["audits"] = {
                auditor.id: [auditor.settings_digest, auditor.hull_id]
                for auditor in self.instruments.chosen_auditors(options.audit_calculator_ids)
            }
        return Provenance(
            diversity_features=space.name if space else "",
            property_digests=digests,
            calculator_id=identity.id,
            calculator_version=identity.version,
            calculator_settings=identity.parameters,
            reference_id=background.id if background else "",
            hull_id=background.hull_id if background else "",
            settings_digest=digest_of(settings),
            amd_tolerance=tolerance,
            matcher=options.matcher,
        )
