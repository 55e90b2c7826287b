"""The calls of the oracle that are answered while one waits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

from xenolith.client.messages import fill
from xenolith.client.results.score_messages import scores_from_proto
from xenolith.client.results.scores import Scores
from xenolith.client.transport.calls import Exchange, Unary, takes
from xenolith.contract.components import DEFAULT_COMPONENT_NAMES
from xenolith.contract.names import component_number
from xenolith.contract.wire import batch_to_proto
from xenolith.convert.item import Item
from xenolith.convert.items import as_batch, as_items
from xenolith.crystal import CrystalBatch
from xenolith.errors import InternalError, XenolithError, error_class_of
from xenolith.v1 import oracle_pb2

if TYPE_CHECKING:
    from xenolith.convert.items import CrystalsLike

__all__ = ["ScoreOptions", "Streamed", "describe", "score", "score_stream"]


def describe(*, timeout_s: float | None = None) -> Unary[oracle_pb2.OracleServiceDescribeResponse]:
    """Return what the oracle can measure: calculators, elements, references, components, limits."""
    request = oracle_pb2.OracleServiceDescribeRequest()
    return Unary(method="Describe", request=request, parse=_same, timeout_s=timeout_s, default_s=20)


@dataclass(frozen=True)
class ScoreOptions:
    """Options of scoring: the properties to measure, and how."""

    crystals: "CrystalsLike"
    """A `Crystal`, `CrystalBatch`, pymatgen structure, ASE atoms, path of a file or folder, or any number of
    them."""
    _: KW_ONLY
    components: Iterable[str] = DEFAULT_COMPONENT_NAMES
    """Names of ``Component`` in any case: ``validity``, ``stability``, ``novelty``, ``uniqueness``,
    ``structure_diversity``, ``composition_diversity``, ``properties``, ``audit``."""
    settings: oracle_pb2.ScoreSettings | Mapping[str, Any] | None = None
    """How to score: a ``ScoreSettings`` message, or a mapping of its fields."""
    known: "CrystalsLike | None" = None
    """Further crystals that count as known; all of them have to be readable."""
    periodic: bool = False
    """Take atoms too that say that they are not periodic (``pbc``), as if they were; a note says so."""
    expected_settings_digest: str = ""
    """Fail unless the oracle scores with these settings."""
    timeout_s: float | None = None
    """Seconds until the call fails; None: 120 plus 5 per structure, or 60 if it only submits them."""

    def request(self, items: Sequence[Item]) -> oracle_pb2.ScoreRequest:
        """Return the request that scores `items`; those with a problem are left out."""
        sendable = CrystalBatch.from_crystals(
            item.crystal for item in items if item.problem is None and item.crystal is not None
        )
        request = oracle_pb2.ScoreRequest(
            crystals=batch_to_proto(sendable),
            components=[component_number(name) for name in self.components],
            settings=_settings(self.settings),
            expected_settings_digest=self.expected_settings_digest,
        )
        if self.known is not None:
            # One that is left out would make what is known novel.
            request.known.CopyFrom(batch_to_proto(as_batch(self.known, periodic=self.periodic)))
        return request


@takes(ScoreOptions)
def score(options: ScoreOptions) -> Unary[Scores]:
    """Measure crystals; the arguments are the fields of `ScoreOptions`.

    Returns
    -------
    Scores
        One per structure given, in order. A structure that cannot be read or sent has a status of its own.

    Raises
    ------
    XenolithError
        If the call as a whole fails.
    """
    items = as_items(options.crystals, periodic=options.periodic)
    return Unary(
        method="Score",
        request=options.request(items),
        parse=lambda response: _scores(items, response),
        timeout_s=options.timeout_s,
        default_s=120 + 5 * len(items),
    )


@dataclass(frozen=True, kw_only=True)
class Streamed:
    """The answer to one batch of a stream."""

    index: int
    """Which batch, counted from 0."""
    scores: Scores | None
    """Its scores, or"""
    error: XenolithError | None
    """why it was refused."""


def score_stream(
    batches: Any,
    *,
    components: Iterable[str] = DEFAULT_COMPONENT_NAMES,
    settings: oracle_pb2.ScoreSettings | Mapping[str, Any] | None = None,
    timeout_s: float | None = None,
) -> Exchange[Streamed]:
    """Return the exchange that scores indexed batches as they come."""
    pending: dict[int, list[Item]] = {}
    options = ScoreOptions((), components=tuple(components), settings=settings)

    def encode(numbered: tuple[int, Any]) -> oracle_pb2.ScoreStreamRequest:
        index, crystals = numbered
        pending[index] = as_items(crystals)
        return oracle_pb2.ScoreStreamRequest(batch_id=index, request=options.request(pending[index]))

    def parse(answer: oracle_pb2.ScoreStreamResponse) -> Streamed:
        items = pending.pop(answer.batch_id)
        if answer.WhichOneof("result") == "error":
            error = error_class_of(answer.error.code)(answer.error.message)
            return Streamed(index=answer.batch_id, scores=None, error=error)
        return Streamed(index=answer.batch_id, scores=_scores(items, answer.response), error=None)

    return Exchange(
        method="ScoreStream",
        items=batches,
        encode=encode,
        parse=parse,
        timeout_s=timeout_s,
        default_s=None,
    )


def _scores(items: Sequence[Item], response: oracle_pb2.ScoreResponse) -> Scores:
    sent = sum(item.problem is None for item in items)
    if len(response.scores) != sent:
        raise InternalError(f"the oracle answered {len(response.scores)} scores for {sent} structures")
    return scores_from_proto(items, response)


def _settings(settings: oracle_pb2.ScoreSettings | Mapping[str, Any] | None) -> oracle_pb2.ScoreSettings:
    if isinstance(settings, oracle_pb2.ScoreSettings):
        return settings
    return fill(oracle_pb2.ScoreSettings(), settings or {}, "settings")


def _same(response: oracle_pb2.OracleServiceDescribeResponse) -> oracle_pb2.OracleServiceDescribeResponse:
    return response
