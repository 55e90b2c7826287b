"""Calls of one structure, of whatever callers, scored in common batches: a batch costs less than its parts.

A call that comes when no such batch is at work goes at once. Those that come meanwhile are gathered, and are
the next batch: when it ends, or a quarter of a second after they came. Only requests that differ in nothing
but their structure share one, and each structure is scored as if it had come alone: none is compared with the
others. Callers keep their deadlines and may leave; the others go on. A batch that takes too long, or fails,
is given up, and its calls are scored one by one: so a structure that holds the calculator costs the others
little, and none its answer.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from oracle_svc.service.handler import ScoreHandler
from xenolith.errors import CancelledError, XenolithError
from xenolith.serving import Stop, Worker
from xenolith.v1 import oracle_pb2

__all__ = ["MergeSettings", "Merger", "is_over"]

log = structlog.get_logger(__name__)

_LONGEST_NAME = 4096
"""Bytes of all that calls of a common batch must have in common; more is a rare request, scored by itself."""
_MOST_NAMES = 64
"""Components and properties that such calls may name."""
_LONGEST_WAIT_S = 0.25
"""Seconds after which a call goes though a batch is at work: one may hold the calculator for long."""

Answer = oracle_pb2.ScoreResponse | XenolithError | None
"""Answer to a call; None: it is to be scored by itself."""
Alone = Callable[[oracle_pb2.ScoreRequest, Stop, float | None], oracle_pb2.ScoreResponse]
"""Scores a call by itself, until its caller has gone or its time is up."""


@dataclass(frozen=True, kw_only=True)
class MergeSettings:
    """How calls of one structure are merged."""

    most: int = 64
    """Most calls in a common batch."""
    window_s: float = 0.004
    """How long a call waits for others while a batch is at work or has just ended, seconds."""
    patience_s: float = 10.0
    """How long a common batch may take, seconds."""
    at_once: int = 4
    """Common batches scored side by side."""
    max_atoms: int = 256
    """Atoms of a structure from which on it gains nothing from company."""


@dataclass(kw_only=True, eq=False)
class _Member:
    """A call that is to be scored with others."""

    request: oracle_pb2.ScoreRequest
    until: float | None
    """When its time is up, by `time.monotonic`; None: never."""
    answer: asyncio.Future[Answer]
    stop: Stop = field(default_factory=Stop)
    """Set when its caller has gone."""
    since: float = field(default_factory=time.monotonic)
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """Of the call: its request, run and trace."""


@dataclass(kw_only=True, eq=False)
class _Queue:
    """Calls that may share a batch."""

    waiting: list[_Member] = field(default_factory=list)
    at_work: int = 0
    """Batches that are scored now."""
    timer: asyncio.TimerHandle | None = None
    """Ends the wait of those who wait."""


class Merger:
    """Gathers calls and has them scored; belongs to one event loop.

    Parameters
    ----------
    handler
        Checks, scores and answers.
    worker
        Threads in which that is done.
    alone
        Scores a call by itself.
    settings
        How to merge.
    """

    def __init__(self, handler: ScoreHandler, worker: Worker, alone: Alone, settings: MergeSettings) -> None:
        self._handler, self._worker, self._alone, self._settings = handler, worker, alone, settings
        self._queues: dict[bytes, _Queue] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def takes(self, request: oracle_pb2.ScoreRequest) -> bool:
        """Whether a request may share a batch: one small structure, and nothing asked of it takes long."""
        settings, counts = request.settings, request.crystals.num_atoms
        return (
            len(counts) == 1
            and counts[0] <= self._settings.max_atoms
            and not request.HasField("known")
            and not settings.HasField("relax")
            # What may be long is not compared, and not on the event loop.
            and not settings.HasField("calculator_settings")
            and len(request.components) + len(settings.properties) <= _MOST_NAMES
            and not settings.audit_calculator_ids
            and settings.sameness.metric != oracle_pb2.SAMENESS_METRIC_STRUCTURE_MATCHER
            and oracle_pb2.COMPONENT_AUDIT not in request.components
        )

    async def score(
        self, request: oracle_pb2.ScoreRequest, until: float | None
    ) -> oracle_pb2.ScoreResponse | None:
        """Score a request, together with others if there are any.

        Parameters
        ----------
        until
            When its time is up, by `time.monotonic`; None: never.

        Returns
        -------
        ScoreResponse or None
            None: it is to be scored by itself.

        Raises
        ------
        XenolithError
            It cannot be scored.
        """
        name = _common(request)
        if len(name) > _LONGEST_NAME:
            return None
        member = _Member(request=request, until=until, answer=asyncio.get_running_loop().create_future())
        idle = name not in self._queues
        queue = self._queues.setdefault(name, _Queue())
        queue.waiting.append(member)
        self._consider(name, queue, at_once=idle)
        try:
            answer = await member.answer
        except asyncio.CancelledError:
            member.stop.set()
            if member in queue.waiting:
                queue.waiting.remove(member)
            raise
        if isinstance(answer, XenolithError):
            raise answer
        return answer

    def _consider(self, name: bytes, queue: _Queue, *, at_once: bool = False) -> None:
        """Begin a batch if one is due, else see to it that one is begun in time."""
        if queue.timer is not None:
            queue.timer.cancel()
            queue.timer = None
        if not queue.waiting:
            if not queue.at_work:
                self._queues.pop(name, None)
            return
        if queue.at_work >= self._settings.at_once:
            return
        left = queue.waiting[0].since - time.monotonic()
        left += _LONGEST_WAIT_S if queue.at_work else self._settings.window_s
        if at_once or left <= 0 or len(queue.waiting) >= self._settings.most:
            self._begin(name, queue)
        else:
            loop = asyncio.get_running_loop()
            queue.timer = loop.call_later(left, self._consider, name, queue)

    def _begin(self, name: bytes, queue: _Queue) -> None:
        most = self._settings.most
        members, queue.waiting = queue.waiting[:most], queue.waiting[most:]
        queue.at_work += 1
        # A batch of several is nobody's: its log lines are not to bear the ids of the call that begins it.
        context = members[0].context if len(members) == 1 else contextvars.Context()
        task = asyncio.get_running_loop().create_task(self._run(name, queue, members), context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, name: bytes, queue: _Queue, members: Sequence[_Member]) -> None:
        """Take a batch to its end and hand out the answers, then look after those who came meanwhile."""
        try:
            answers = await self._worker.run(self._score, members)
            for member, answer in zip(members, answers, strict=True):
                if not member.answer.done():
                    member.answer.set_result(answer)
        finally:
            for member in members:
                member.answer.cancel()  # without effect unless the service ends before there are answers
            queue.at_work -= 1
            self._consider(name, queue)

    def _score(self, members: Sequence[_Member]) -> Sequence[Answer]:
        """Score calls, together if there are several, in a thread of the worker."""
        patience = time.monotonic() + self._settings.patience_s

        def gone() -> bool:
            return all(is_over(member.stop, member.until) for member in members)

        try:
            if len(members) == 1:
                return [self._alone(members[0].request, members[0].stop, members[0].until)]
            prepared, errors = self._handler.prepare_merged([member.request for member in members])
            scored = iter(self._handler.score_merged(prepared, lambda: time.monotonic() > patience or gone()))
            return [errors.get(row) or self._handler.answer(next(scored)) for row in range(len(members))]
        except XenolithError as error:
            return [error] * len(members)
        except Exception as error:  # noqa: BLE001 - whose fault it is shows when each is scored by itself
            if gone():
                return [CancelledError("the call was cancelled or its deadline passed")] * len(members)
            log.warning(
                "common batch given up", calls=len(members), reason=f"{type(error).__name__}: {error}"
            )
            return [None] * len(members)


def is_over(stop: Stop, until: float | None) -> bool:
    """Whether nobody waits for an answer any more: the caller has gone, or the time is up."""
    return stop.is_set() or (until is not None and time.monotonic() > until)


def _common(request: oracle_pb2.ScoreRequest) -> bytes:
    """Return all of a request but its structure."""
    rest = oracle_pb2.ScoreRequest()
    rest.settings.CopyFrom(request.settings)
    for field_, value in request.ListFields():
        if field_.name not in {"crystals", "settings"}:
            if field_.is_repeated:
                getattr(rest, field_.name).extend(value)
            else:
                setattr(rest, field_.name, value)
    return rest.SerializeToString(deterministic=True)
