"""An oracle under examination: calls to it, each with a time limit, and the crystals it is asked about."""

import math
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any

import grpc

from xenolith.client import Options
from xenolith.client.transport.endpoint import Endpoint
from xenolith.client.transport.retry import RetryPolicy
from xenolith.client.transport.service_sync import Service
from xenolith.conformance.crystals import sample_crystals
from xenolith.conformance.verdict import Failure, skip
from xenolith.conformance.words import described
from xenolith.contract.names import component_name
from xenolith.contract.wire import batch_to_proto
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.errors import DeadlineError, OverloadedError, XenolithError
from xenolith.v1 import oracle_pb2

__all__ = ["Lab", "LabSettings"]

_MANY, _FEW = 6, 2
_QUICK_TIMEOUT_S, _SLOW_TIMEOUT_S = 60.0, 1800.0
_TOLD_TO_COME_AGAIN = RetryPolicy(
    limit_s=math.inf, away=(), doubtful=(OverloadedError,), doubtful_attempts=8, longest_pause_s=30.0
)


@dataclass(frozen=True, kw_only=True)
class LabSettings:
    """How to examine an oracle."""

    target: str
    """``host:port``."""
    crystals: Sequence[Crystal] = ()
    """Crystals that it can measure, simplest first; empty: textbook crystals of elements it covers."""
    quick: bool | None = None
    """Use two crystals, and leave out what takes long; None: if the calculator is long_running."""
    timeout_s: float | None = None
    """Time limit of a call, seconds; None: 60, or 1800 if the calculator is long_running."""
    energy_tolerance: float = 1e-4
    """Energies of one crystal may differ by this between calls, eV/atom."""
    options: Options = field(default_factory=lambda: Options(attempts=1))
    """Token and TLS."""


class Lab:
    """Calls an oracle; close it, or use it as a context."""

    def __init__(self, settings: LabSettings) -> None:
        self.settings = settings
        self.last_request = ""
        self._endpoint = Endpoint(name="oracle", address=settings.target)
        self._oracle = Service(self._endpoint, settings.options, _TOLD_TO_COME_AGAIN)
        self.channel, self.stub = self._oracle.channel, self._oracle.stub

    def __enter__(self) -> "Lab":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._oracle.close()

    def forget(self) -> None:
        """Forget the last request: a new check begins."""
        self.last_request = ""

    @cached_property
    def description(self) -> oracle_pb2.OracleServiceDescribeResponse:
        """The oracle's answer to Describe, asked for once."""
        return self.describe()

    @cached_property
    def quick(self) -> bool:
        """Whether evaluations are to be few."""
        if self.settings.quick is not None:
            return self.settings.quick
        return bool(self.description.calculators) and self.description.calculators[0].long_running

    @cached_property
    def timeout_s(self) -> float:
        """Time limit of a call, seconds."""
        if self.settings.timeout_s is not None:
            return self.settings.timeout_s
        slow = bool(self.description.calculators) and self.description.calculators[0].long_running
        return _SLOW_TIMEOUT_S if slow else _QUICK_TIMEOUT_S

    @cached_property
    def crystals(self) -> list[Crystal]:
        """Crystals that the oracle can measure: two if evaluations are to be few, else six."""
        known = list(self.settings.crystals) or sample_crystals(self.description)
        return known[: _FEW if self.quick else _MANY]

    @property
    def good(self) -> Crystal:
        """The first of them."""
        return self.crystals[0]

    @cached_property
    def components(self) -> list[int]:
        """Components that one calculator gives: all that are described, but for audits."""
        return [number for number in self.description.components if number != oracle_pb2.COMPONENT_AUDIT]

    @cached_property
    def baseline(self) -> oracle_pb2.ScoreResponse:
        """Scores of `crystals`, every component, in one request."""
        return self.score(self.crystals, self.components)

    def serves(self, component: int) -> bool:
        """Whether a component is described."""
        return component in self.description.components

    def needs(self, component: int) -> None:
        """Skip the check unless a component is described."""
        if not self.serves(component):
            skip(f"this oracle does not measure {component_name(component)}")

    def describe(self) -> oracle_pb2.OracleServiceDescribeResponse:
        """Ask what the oracle can measure."""
        timeout = self.settings.timeout_s or _QUICK_TIMEOUT_S
        return self.call(self.stub.Describe, oracle_pb2.OracleServiceDescribeRequest(), timeout)

    def request(
        self, crystals: Iterable[Crystal], components: Iterable[int] = (), **settings: Any
    ) -> oracle_pb2.ScoreRequest:
        """Make a request to score."""
        return oracle_pb2.ScoreRequest(
            crystals=batch_to_proto(CrystalBatch.from_crystals(crystals)),
            components=list(components),  # type: ignore[arg-type]  # an int is an enum's value
            settings=oracle_pb2.ScoreSettings(**settings),
        )

    def score(
        self, crystals: Iterable[Crystal], components: Iterable[int] = (), **settings: Any
    ) -> oracle_pb2.ScoreResponse:
        """Score crystals; fails unless there is one score for each."""
        return self.answer(self.request(crystals, components, **settings))

    def answer(self, request: oracle_pb2.ScoreRequest) -> oracle_pb2.ScoreResponse:
        """Return the answer to a request; fails unless there is one score for each crystal."""
        response: oracle_pb2.ScoreResponse = self.call(self.stub.Score, request)
        wanted = len(request.crystals.num_atoms)
        if len(response.scores) != wanted:
            raise Failure(f"Score answered {len(response.scores)} scores for {wanted} structures")
        return response

    def call(self, method: Any, request: Any, timeout_s: float | None = None) -> Any:
        """Return the answer to a call; fails if there is none."""
        try:
            return self.try_call(method, request, timeout_s)
        except XenolithError as error:
            raise Failure(f"the call should be answered, but ended as {error.code.name}: {error}") from error

    def refusal(self, method: Any, request: Any) -> XenolithError:
        """Return the error that a call ends with; fails if it is answered, or is not answered in time."""
        try:
            self.try_call(method, request)
        except DeadlineError as error:
            raise Failure(
                f"the call should be refused at once, but had no answer in {self.timeout_s:g} s"
            ) from error
        except XenolithError as error:
            return error
        raise Failure("the call should be refused, but was answered as if nothing were wrong")

    def try_call(self, method: Any, request: Any, timeout_s: float | None = None) -> Any:
        """Return the answer to a call; one that is told to come again does so a few times.

        Raises
        ------
        XenolithError
            What it ended with.
        """
        self.last_request = described(request)

        def attempt() -> Any:
            # Without the method's name: an error is to say what the oracle said, and no more.
            with self._endpoint.errors(""):
                return method(request, timeout=timeout_s or self.timeout_s, metadata=self.metadata())

        return self._oracle.repeat(attempt)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return what goes with a call."""
        return self._oracle.metadata(f"conformance-{uuid.uuid4().hex[:12]}")

    def raw(self, method: str, data: bytes) -> grpc.StatusCode:
        """Send bytes as they are to a unary method; return the status the call ended with."""
        self.last_request = f"{method.rpartition('/')[2]} with {len(data)} raw bytes, {data[:24].hex(' ')}..."
        call = self.channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
        try:
            call(data, timeout=self.timeout_s, metadata=self.metadata())
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    def alive(self) -> None:
        """Fail unless the oracle still scores a good crystal, as it did before."""
        response = self.score([self.good], [oracle_pb2.COMPONENT_VALIDITY])
        if not response.scores[0].valid:
            raise Failure(f"a good crystal is no longer valid afterwards: {response.scores[0].message}")
