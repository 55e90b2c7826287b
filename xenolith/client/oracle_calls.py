"""The calls of the oracle that are answered while one waits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xenolith.client.messages import fill
from xenolith.client.results.score_messages import scores_from_proto
from xenolith.client.results.scores import Scores
from xenolith.client.transport.calls import Exchange, Unary, deadline
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

__all__ = ["Streamed", "describe", "score", "score_request", "score_stream"]


def describe(*, timeout_s: float | None = None) -> Unary[oracle_pb2.OracleServiceDescribeResponse]:
    """Return what the oracle can measure: calculators, elements, references, components, limits."""
    request = oracle_pb2.OracleServiceDescribeRequest()
    return Unary(method="Describe", request=request, parse=_same, timeout_s=deadline(timeout_s, 20))


def score(
    crystals: "CrystalsLike",
    *,
    components: Iterable[str] = DEFAULT_COMPONENT_NAMES,
    settings: oracle_pb2.ScoreSettings | Mapping[str, Any] | None = None,
    known: "CrystalsLike | None" = None,
    expected_settings_digest: str = "",
    timeout_s: float | None = None,
) -> Unary[Scores]:
    """Measure crystals.

    Parameters
    ----------
    crystals
        A `Crystal`, `CrystalBatch`, pymatgen structure, ASE atoms, path of a file or folder, or any number
        of them.
    components
        Names of ``Component`` in any case: ``validity``, ``stability``, ``novelty``, ``uniqueness``,
        ``structure_diversity``, ``composition_diversity``, ``properties``, ``audit``.
    settings
        How to score: a ``ScoreSettings`` message, or a mapping of its fields.
    known
        Further crystals that count as known; all of them have to be readable.
    expected_settings_digest
        Fail unless the oracle scores with these settings.
    timeout_s
        Seconds until the call fails; default 120 plus 5 per structure.

    Returns
    -------
    Scores
        One per structure given, in order. A structure that cannot be read or sent has a status of its own.

    Raises
    ------
    XenolithError
        If the call as a whole fails.
    """
    items = as_items(crystals)
    request = score_request(items, components, settings, known, expected_settings_digest)
    timeout = deadline(timeout_s, 120 + 5 * len(items))
    return Unary(method="Score", request=request, parse=lambda r: _scores(items, r), timeout_s=timeout)


def score_request(
    items: Sequence[Item],
    components: Iterable[str] = DEFAULT_COMPONENT_NAMES,
    settings: oracle_pb2.ScoreSettings | Mapping[str, Any] | None = None,
    known: "CrystalsLike | None" = None,
    expected_settings_digest: str = "",
) -> oracle_pb2.ScoreRequest:
    """Return the request that scores `items`; those with a problem are left out."""
    sendable = CrystalBatch.from_crystals(
        i.crystal for i in items if i.problem is None and i.crystal is not None
    )
    request = oracle_pb2.ScoreRequest(
        crystals=batch_to_proto(sendable),
        components=[component_number(name) for name in components],
        settings=_settings(settings),
        expected_settings_digest=expected_settings_digest,
    )
    if known is not None:
        # One that is left out would make what is known novel.
        request.known.CopyFrom(batch_to_proto(as_batch(known)))
    return request


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
    wanted = tuple(components)

    def encode(numbered: tuple[int, Any]) -> oracle_pb2.ScoreStreamRequest:
        index, crystals = numbered
        pending[index] = as_items(crystals)
        return oracle_pb2.ScoreStreamRequest(
            batch_id=index, request=score_request(pending[index], wanted, settings)
        )

    def parse(answer: oracle_pb2.ScoreStreamResponse) -> Streamed:
        items = pending.pop(answer.batch_id)
        if answer.WhichOneof("result") == "error":
            error = error_class_of(answer.error.code)(answer.error.message)
            return Streamed(index=answer.batch_id, scores=None, error=error)
        return Streamed(index=answer.batch_id, scores=_scores(items, answer.response), error=None)

    timeout = deadline(timeout_s, None)
    return Exchange(method="ScoreStream", items=batches, encode=encode, parse=parse, timeout_s=timeout)


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
