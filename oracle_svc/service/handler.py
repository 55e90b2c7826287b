"""Between the contract's messages and the pipeline: checks a request, scores it and words the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from oracle_svc.pipeline.records import Journal
from oracle_svc.pipeline.results import Component, ScoredBatch, ScoreOptions
from oracle_svc.pipeline.scorer import Scorer
from oracle_svc.pools.calculator_settings import check_calculator_settings
from oracle_svc.service.answers import response_of
from oracle_svc.service.requests import crystals_of, options_of
from oracle_svc.service.totals import Totals
from oracle_svc.status import Outcome
from xenolith.contract.requests import check_score_request, check_settings_digest
from xenolith.crystal import CrystalBatch
from xenolith.errors import FailedPreconditionError, FieldViolation, XenolithError
from xenolith.serving.metric_sample import MetricSample
from xenolith.v1 import oracle_pb2

__all__ = ["Prepared", "ScoreHandler"]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A request that was found to be in order."""

    crystals: CrystalBatch
    """The structures."""
    options: ScoreOptions
    """How to score them."""
    refused: Mapping[int, Outcome]
    """Structures that are not to be measured, by index, with the reason."""


class ScoreHandler:
    """Handles score requests, whether their caller waits (`Score`) or not (`SubmitScore`). Thread-safe.

    Parameters
    ----------
    scorer
        The pipeline.
    description
        The oracle's answer to Describe, whose limits hold for every request.
    """

    def __init__(self, scorer: Scorer, description: oracle_pb2.OracleServiceDescribeResponse) -> None:
        self.scorer = scorer
        self.description = description
        self.scale = scorer.scale
        """Digest of the scale on which the pipeline measures: operations belong to oracles of one scale."""
        self._totals = Totals()

    def metric_samples(self) -> Iterator[MetricSample]:
        """Return what was scored so far, and whether the cache works."""
        return self._totals.metric_samples(self.scorer.resources.store.cache)

    def prepare(self, request: oracle_pb2.ScoreRequest) -> Prepared:
        """Check a request.

        Raises
        ------
        InvalidArgumentError, FailedPreconditionError, UnimplementedError
            It cannot be scored here; the message says why.
        """
        options = self._options(request)
        crystals, refused = crystals_of(request.crystals, "crystals")
        return Prepared(crystals=crystals, options=options, refused=refused)

    def prepare_merged(
        self, requests: Sequence[oracle_pb2.ScoreRequest]
    ) -> tuple[Prepared, dict[int, XenolithError]]:
        """Check requests of one structure each that differ in nothing else, and join them.

        Returns
        -------
        Prepared
            The structures of those that are in order, in their order.
        dict
            What is wrong with the others, by index.

        Raises
        ------
        InvalidArgumentError, FailedPreconditionError, UnimplementedError
            None of them can be scored here; the message says why.
        """
        options = self._options(requests[0])
        batches: list[CrystalBatch] = []
        refused: dict[int, Outcome] = {}
        errors: dict[int, XenolithError] = {}
        for index, request in enumerate(requests):
            try:
                crystals, disordered = crystals_of(request.crystals, "crystals")
            except XenolithError as error:
                errors[index] = error
                continue
            refused |= {len(batches): outcome for outcome in disordered.values()}
            batches.append(crystals)
        return Prepared(crystals=CrystalBatch.concat(batches), options=options, refused=refused), errors

    def _options(self, request: oracle_pb2.ScoreRequest) -> ScoreOptions:
        """Check all of a request but its crystals, and return how it wants them scored."""
        components = check_score_request(
            request,
            self.description,
            None,
            # Of what it could measure and here cannot, the pipeline says what it lacks.
            components=list(Component),
            properties=self.scorer.resources.properties.names,
            relax_algorithms=(oracle_pb2.RELAX_ALGORITHM_FIRE,),
        )
        check_calculator_settings(
            request.settings.calculator_settings, self.scorer.resources.calculators.identity
        )
        options = options_of(request, components)
        self._check_measurable(request, options)
        check_settings_digest(request, self.scorer.provenance(options).settings_digest)
        return options

    def score(
        self, prepared: Prepared, stop: Callable[[], bool], journal: Journal | None = None
    ) -> ScoredBatch:
        """Score what `prepare` let through; see `Scorer.score`."""
        scored = self.scorer.score(
            prepared.crystals, prepared.options, stop=stop, refused=prepared.refused, journal=journal
        )
        self._totals.add(scored)
        return scored

    def score_merged(self, prepared: Prepared, stop: Callable[[], bool]) -> list[ScoredBatch]:
        """Score what `prepare_merged` joined; return the scores of each request, as if it had come alone."""
        scored = self.scorer.score(
            prepared.crystals, prepared.options, stop=stop, refused=prepared.refused, separate=True
        )
        self._totals.add(scored)
        return [
            replace(scored, scores=(score,), stats=share, shares=())
            for score, share in zip(scored.scores, scored.shares, strict=True)
        ]

    def answer(self, scored: ScoredBatch) -> oracle_pb2.ScoreResponse:
        """Return the message that carries the scores."""
        return response_of(scored, self.description.service_version)

    def _check_measurable(self, request: oracle_pb2.ScoreRequest, options: ScoreOptions) -> None:
        """Refuse a component that this oracle lacks something for, naming where the request asks for it."""
        for position, number in enumerate(request.components):
            reason = self.scorer.obstacle(Component(number), options)
            if reason is not None:
                violation = FieldViolation(field=f"components[{position}]", description=reason)
                raise FailedPreconditionError(reason, violations=[violation])
