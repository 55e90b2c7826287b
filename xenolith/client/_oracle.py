"""The calls of the oracle."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf import duration_pb2

from xenolith.client._calls import Exchange, Unary, deadline
from xenolith.client._messages import fill
from xenolith.client.results import Scores, scores_from_proto
from xenolith.convert.items import Item, as_items
from xenolith.crystal import CrystalBatch
from xenolith.errors import InternalError, InvalidArgumentError, XenolithError, error_class_of
from xenolith.v1 import oracle_pb2
from xenolith.wire import batch_to_proto

if TYPE_CHECKING:
    from xenolith.convert.items import CrystalsLike

__all__ = [
    "Operation",
    "cancel_operation",
    "describe",
    "get_operation",
    "score",
    "submit_score",
    "wait_operation",
]

DEFAULT_COMPONENTS = ("validity", "stability", "novelty", "uniqueness")


def describe(*, timeout_s: float | None = None) -> Unary[oracle_pb2.OracleServiceDescribeResponse]:
    """Return what the oracle can measure: calculators, elements, references, components, limits."""
    request = oracle_pb2.OracleServiceDescribeRequest()
    return Unary(method="Describe", request=request, parse=_same, timeout_s=deadline(timeout_s, 20))


def score(
    crystals: "CrystalsLike",
    *,
    components: Iterable[str] = DEFAULT_COMPONENTS,
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
        Further crystals that count as known.
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
    components: Iterable[str] = DEFAULT_COMPONENTS,
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
        components=[_component(name) for name in components],
        settings=_settings(settings),
        expected_settings_digest=expected_settings_digest,
    )
    if known is not None:
        members = [item.crystal for item in as_items(known) if item.crystal is not None]
        request.known.CopyFrom(batch_to_proto(CrystalBatch.from_crystals(members)))
    return request


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A scoring that outlives its call."""

    id: str
    """Identity, to ask for it again from anywhere."""
    state: str
    """``QUEUED``, ``RUNNING``, ``SUCCEEDED``, ``FAILED`` or ``CANCELLED``."""
    structures_done: int
    """Structures finished."""
    structures_total: int
    """Structures in all."""
    scores: Scores | None
    """The result, once there is one."""
    error: XenolithError | None
    """Why it failed."""
    warnings: tuple[str, ...] = ()
    """What the user should know."""

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.state in {"SUCCEEDED", "FAILED", "CANCELLED"}


def submit_score(
    crystals: "CrystalsLike",
    *,
    components: Iterable[str] = DEFAULT_COMPONENTS,
    settings: oracle_pb2.ScoreSettings | Mapping[str, Any] | None = None,
    known: "CrystalsLike | None" = None,
    expected_settings_digest: str = "",
    idempotency_key: str = "",
    priority: int = 0,
    retention_s: float | None = None,
    timeout_s: float | None = None,
) -> Unary[Operation]:
    """Start a scoring that may take hours, and return at once.

    `idempotency_key` makes a second submission return the same operation; by default each is a new one.
    Structures that cannot be sent are an error here: results are counted by their place in the submission.
    """
    items = as_items(crystals)
    if problem := next((item.problem for item in items if item.problem), None):
        raise problem
    request = oracle_pb2.SubmitScoreRequest(
        request=score_request(items, components, settings, known, expected_settings_digest),
        # With a key, an attempt whose answer was lost does not start the work twice.
        idempotency_key=idempotency_key or uuid.uuid4().hex,
        priority=priority,
    )
    if retention_s is not None:
        request.retention.FromNanoseconds(int(retention_s * 1e9))
    return _operation_call("SubmitScore", request, deadline(timeout_s, 60))


def get_operation(
    operation_id: str, *, partial: bool = False, timeout_s: float | None = None
) -> Unary[Operation]:
    """Return the state of an operation, with `partial` also what is finished of it."""
    request = oracle_pb2.GetOperationRequest(operation_id=operation_id, include_partial_results=partial)
    return _operation_call("GetOperation", request, deadline(timeout_s, 60))


def wait_operation(
    operation_id: str, *, wait_s: float = 60.0, timeout_s: float | None = None
) -> Unary[Operation]:
    """Return the operation when it is done, or as it is after `wait_s` seconds."""
    timeout = duration_pb2.Duration()
    timeout.FromNanoseconds(int(wait_s * 1e9))
    request = oracle_pb2.WaitOperationRequest(operation_id=operation_id, timeout=timeout)
    return _operation_call("WaitOperation", request, deadline(timeout_s, wait_s + 30))


def cancel_operation(operation_id: str, *, timeout_s: float | None = None) -> Unary[Operation]:
    """Ask an operation to stop; what is measured stays."""
    request = oracle_pb2.CancelOperationRequest(operation_id=operation_id)
    return _operation_call("CancelOperation", request, deadline(timeout_s, 60))


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
    components: Iterable[str] = DEFAULT_COMPONENTS,
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


def _operation_call(method: str, request: Any, timeout_s: float | None) -> Unary[Operation]:
    return Unary(method=method, request=request, parse=lambda r: _operation(r.operation), timeout_s=timeout_s)


def _operation(message: oracle_pb2.Operation) -> Operation:
    scores = None
    if message.HasField("response"):
        items = [Item(source=str(index)) for index in range(len(message.response.scores))]
        scores = scores_from_proto(items, message.response)
    error = error_class_of(message.error.code)(message.error.message) if message.HasField("error") else None
    return Operation(
        id=message.id,
        state=oracle_pb2.OperationState.Name(message.state).removeprefix("OPERATION_STATE_"),
        structures_done=message.structures_done,
        structures_total=message.structures_total,
        scores=scores,
        error=error,
        warnings=tuple(message.warnings),
    )


def _scores(items: Sequence[Item], response: oracle_pb2.ScoreResponse) -> Scores:
    sent = sum(item.problem is None for item in items)
    if len(response.scores) != sent:
        raise InternalError(f"the oracle answered {len(response.scores)} scores for {sent} structures")
    return scores_from_proto(items, response)


def _component(name: str) -> Any:
    try:
        return oracle_pb2.Component.Value(f"COMPONENT_{name.upper()}")
    except ValueError:
        known = [key.removeprefix("COMPONENT_").lower() for key in oracle_pb2.Component.keys()[1:]]
        raise InvalidArgumentError(f"there is no component {name!r}; there are {', '.join(known)}") from None


def _settings(settings: oracle_pb2.ScoreSettings | Mapping[str, Any] | None) -> oracle_pb2.ScoreSettings:
    if isinstance(settings, oracle_pb2.ScoreSettings):
        return settings
    return fill(oracle_pb2.ScoreSettings(), settings or {}, "settings")


def _same(response: oracle_pb2.OracleServiceDescribeResponse) -> oracle_pb2.OracleServiceDescribeResponse:
    return response
