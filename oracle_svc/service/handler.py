"""Between the contract's messages and the pipeline: checks a request, scores it and words the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from oracle_svc.pipeline.journal import Journal
from oracle_svc.pipeline.results import ScoredBatch, ScoreOptions
from oracle_svc.pipeline.scorer import Scorer
from oracle_svc.pools.calculator_settings import check_calculator_settings
from oracle_svc.service.answers import response_of
from oracle_svc.service.messages import crystals_of, options_of
from oracle_svc.status import Outcome
from xenolith.crystal import CrystalBatch
from xenolith.errors import FailedPreconditionError, invalid_field
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

    def prepare(self, request: oracle_pb2.ScoreRequest) -> Prepared:
        """Check a request.

        Raises
        ------
        InvalidArgumentError, FailedPreconditionError, UnimplementedError
            It cannot be scored here; the message says why.
        """
        self._check(request)
        check_calculator_settings(
            request.settings.calculator_settings, self.scorer.instruments.calculators.identity
        )
        options = options_of(request)
        digest = self.scorer.provenance(options).settings_digest
        if request.expected_settings_digest not in {"", digest}:
            raise FailedPreconditionError(
                f"this oracle scores with settings {digest}, not {request.expected_settings_digest}: "
                "a run is to stay on one scale; start a new run, or use the oracle of before"
            )
        crystals, refused = crystals_of(request.crystals, "crystals")
        return Prepared(crystals=crystals, options=options, refused=refused)

    def score(
        self, prepared: Prepared, stop: Callable[[], bool], journal: Journal | None = None
    ) -> ScoredBatch:
        """Score what `prepare` let through; see `Scorer.score`."""
        return self.scorer.score(
            prepared.crystals, prepared.options, stop=stop, refused=prepared.refused, journal=journal
        )

    def answer(self, scored: ScoredBatch) -> oracle_pb2.ScoreResponse:
        """Return the message that carries the scores."""
        return response_of(scored, self.description.service_version)

    def _check(self, request: oracle_pb2.ScoreRequest) -> None:
        most = self.description.max_batch
        count = len(request.crystals.num_atoms)
        if count > most:
            raise invalid_field(
                "crystals.num_atoms",
                f"holds {count} structures, more than {most}; send them in several requests",
            )
        settings = request.settings
        serves = self.description.calculators[0].id
        if settings.calculator_id not in {"", serves}:
            raise FailedPreconditionError(
                f"this oracle's calculator is {serves}, not {settings.calculator_id}"
            )
