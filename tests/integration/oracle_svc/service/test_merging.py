"""Calls of one structure that are scored in common batches, over real gRPC with real calculators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest
import structlog

from oracle_svc.cache import open_cache
from oracle_svc.crystals.validity import ValidityLimits
from oracle_svc.known.novelty.matcher import PairMatcher
from oracle_svc.pipeline.resources import Resources
from oracle_svc.pipeline.scorer import Scorer
from oracle_svc.pools.calculator_pool import CalculatorPool
from oracle_svc.service.merging import MergeSettings
from oracle_svc.service.servicer import OracleService
from oracle_svc.service.startup import describe
from xenolith.contract.wire import batch_to_proto
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.serving import ServingSettings, threaded_server
from xenolith.v1 import crystal_pb2, oracle_pb2, oracle_pb2_grpc

COMPONENTS = [1, 2, 3, 4, 5, 6, 9]
"""All but properties, whose networks compute in batches of their own, and audits."""
GATHER = MergeSettings(window_s=0.3, patience_s=60.0, at_once=1)
"""Long enough that all calls of a test come within it."""
ODD = {"factory": "odd_calculator:Odd", "id": "odd", "elements": ["Cu", "Au", "Al"]}
"""Ends its process on aluminium, never ends on gold."""


class Served:
    """A service, and a connection to it."""

    def __init__(self, service: OracleService, channel: grpc.Channel) -> None:
        self.stub = oracle_pb2_grpc.OracleServiceStub(channel)
        self._service = service

    def together(
        self, requests: Sequence[oracle_pb2.ScoreRequest], timeout: float = 60.0
    ) -> list[grpc.Future]:
        """Calls at once, when all have ended."""
        calls = [self.stub.Score.future(request, timeout=timeout) for request in requests]
        for call in calls:
            call.exception()
        return calls

    @property
    def merged(self) -> float:
        """Requests scored in common batches so far."""
        return next(
            sample.value
            for sample in self._service.metric_samples()
            if sample.name == "xenolith_oracle_merged_requests"
        )


@contextmanager
def served(scorer: Scorer, merging: MergeSettings | None = GATHER) -> Iterator[Served]:
    service = OracleService(scorer, describe(scorer, max_batch=300), threads=4, merging=merging)
    with (
        threaded_server([service], ServingSettings(grace_s=1.0, max_in_flight=200)) as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        yield Served(service, channel)


def asked(
    crystal: Crystal, components: Sequence[int] = COMPONENTS, **settings: object
) -> oracle_pb2.ScoreRequest:
    return oracle_pb2.ScoreRequest(
        crystals=batch_to_proto(CrystalBatch.from_crystals([crystal])),
        components=components,
        settings=oracle_pb2.ScoreSettings(**settings),
    )


def broken(crystal: Crystal) -> list[Crystal]:
    """What the validity gate refuses, each for a reason of its own."""
    nowhere = crystal.frac_coords.copy()
    nowhere[0, 0] = np.nan
    unknown = crystal.numbers.copy()
    unknown[0] = 119
    return [
        Crystal(lattice=crystal.lattice, numbers=crystal.numbers, frac_coords=nowhere),
        Crystal(lattice=crystal.lattice, numbers=unknown, frac_coords=crystal.frac_coords),
        Crystal(lattice=crystal.lattice * 0.1, numbers=crystal.numbers, frac_coords=crystal.frac_coords),
    ]


def without_seconds(answer: oracle_pb2.ScoreResponse) -> oracle_pb2.ScoreResponse:
    answer.stats.seconds.clear()
    return answer


def test_warm_answers_are_those_of_calls_that_are_not_merged_to_the_last_bit(make_scorer, crystals):
    scorer = make_scorer()
    some = [*crystals.values()]
    settings = {"return_forces": True, "return_amd": True, "return_embeddings": True}
    requests = [asked(crystal, **settings) for crystal in [*some, *broken(some[0])]]
    with served(scorer, None) as alone:
        for request in requests:
            alone.stub.Score(request, timeout=60)
        expected = [without_seconds(alone.stub.Score(request, timeout=60)) for request in requests]
    with served(scorer) as common:
        answers = [without_seconds(call.result()) for call in common.together(requests)]
        assert common.merged
    assert answers == expected


def test_cold_answers_differ_by_no_more_than_the_calculator_in_another_batch(make_scorer, crystals):
    some = [*crystals.values()]
    requests = [asked(crystal, [*COMPONENTS, 7]) for crystal in [*some, *broken(some[0])]]
    with served(make_scorer(), None) as alone:
        expected = [alone.stub.Score(request, timeout=60) for request in requests]
    with served(make_scorer()) as common:
        answers = [call.result() for call in common.together(requests)]
        assert common.merged
    numbers = ("energy_per_atom", "e_above_hull", "formation_energy_per_atom")
    for answer, other in zip(answers, expected, strict=True):
        assert (answer.stats.cache_hits, answer.stats.cache_misses, answer.stats.calculator_calls) == (
            other.stats.cache_hits,
            other.stats.cache_misses,
            other.stats.calculator_calls,
        )
        for name in numbers:
            one, two = getattr(answer.scores[0], name), getattr(other.scores[0], name)
            assert one == pytest.approx(two, abs=2e-6)
            answer.scores[0].ClearField(name)
            other.scores[0].ClearField(name)
        assert dict(answer.scores[0].properties) == pytest.approx(dict(other.scores[0].properties), rel=1e-4)
        answer.scores[0].properties.clear()
        other.scores[0].properties.clear()
        assert answer.scores[0] == other.scores[0]
        assert answer.provenance == other.provenance


def test_a_crystal_that_two_callers_send_is_no_duplicate(make_scorer, crystals):
    with served(make_scorer()) as common:
        answers = [call.result() for call in common.together([asked(crystals["SrTiO3"])] * 6)]
        assert common.merged
    for answer in answers:
        assert answer.scores[0].unique
        assert not answer.scores[0].HasField("duplicate_of")
        assert not answer.scores[0].HasField("batch_amd_distance")


def test_each_is_measured_as_it_asks_and_what_it_sends_is_its_own_fault(make_scorer, crystals):
    crystal = crystals["NaCl-rocksalt"]
    torn = asked(crystal)
    del torn.crystals.lattices[-1]
    elsewhere = asked(crystal, reference_id="elsewhere")
    stricter = asked(crystal)
    stricter.expected_settings_digest = "0" * 64
    plain, validity = [asked(crystal)] * 4, [asked(crystal, [1])] * 4
    forces = [asked(crystal, return_forces=True)] * 4
    with served(make_scorer()) as common:
        calls = common.together([*plain, torn, *validity, elsewhere, *forces, stricter])
        codes = [call.code() for call in calls]
        assert common.merged
    ok, wrong = grpc.StatusCode.OK, grpc.StatusCode.FAILED_PRECONDITION
    assert codes == [*[ok] * 4, grpc.StatusCode.INVALID_ARGUMENT, *[ok] * 4, wrong, *[ok] * 4, wrong]
    scores = [call.result().scores[0] for call in calls if call.code() is ok]
    assert [score.HasField("e_above_hull") for score in scores] == [True] * 4 + [False] * 4 + [True] * 4
    assert [score.HasField("forces") for score in scores] == [False] * 8 + [True] * 4


def test_whoever_leaves_takes_nobody_along(make_scorer, crystals):
    requests = [asked(crystal) for crystal in crystals.values()]
    with served(make_scorer()) as common:
        calls = [common.stub.Score.future(request, timeout=60) for request in requests]
        hurried = [common.stub.Score.future(request, timeout=0.05) for request in requests[:3]]
        for call in calls[5:10]:
            call.cancel()
        stayed = [*calls[:5], *calls[10:]]
        assert all(call.result().scores[0].HasField("energy_per_atom") for call in stayed)
        assert {call.code() for call in hurried} <= {
            grpc.StatusCode.DEADLINE_EXCEEDED,
            grpc.StatusCode.CANCELLED,
        }
        assert common.stub.Score(requests[5], timeout=60).scores[0].HasField("energy_per_atom")


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Scorer]]:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "pools" / "jobs"))
    monkeypatch.chdir(tmp_path)
    made: list[Scorer] = []

    def make(**limits: float) -> Scorer:
        pool = CalculatorPool(calculator="ase", settings=ODD, workers=2, **limits)
        made.append(
            Scorer(
                Resources(
                    calculators=pool,
                    cache=open_cache("sqlite:///:memory:"),
                    limits=ValidityLimits(),
                    matcher=PairMatcher(),
                )
            )
        )
        return made[-1]

    yield make
    for scorer in made:
        scorer.close()


def metal(number: int, a: float) -> Crystal:
    lattice = np.array([[0, a, a], [a, 0, a], [a, a, 0]]) / 2
    return Crystal(lattice=lattice, numbers=np.array([number]), frac_coords=np.zeros((1, 3)))


def test_a_structure_that_ends_the_calculator_costs_itself_alone(odd):
    requests = [asked(metal(29, 3.5 + 0.02 * step), [1, 2]) for step in range(12)]
    requests.insert(6, asked(metal(13, 4.05), [1, 2]))
    with served(odd()) as common:
        answers = [call.result() for call in common.together(requests)]
        assert common.merged
    assert [answer.scores[0].HasField("energy_per_atom") for answer in answers] == [True] * 6 + [False] + [
        True
    ] * 6
    failed = {result.component: result.status for result in answers[6].scores[0].components}
    assert failed[2] == crystal_pb2.STRUCTURE_STATUS_CALCULATOR_FAILED


def test_what_is_logged_of_a_call_without_company_bears_its_ids(odd):
    request = asked(metal(13, 4.05), [1, 2])
    with (
        structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines,
        served(odd()) as common,
    ):
        common.stub.Score(request, metadata=(("x-request-id", "r1"), ("x-run-id", "mine")), timeout=60)
    replaced = [line for line in lines if line["event"] == "worker replaced"]
    assert replaced
    assert {(line.get("request_id"), line.get("run_id")) for line in replaced} == {("r1", "mine")}


def test_a_structure_that_holds_the_calculator_costs_the_others_a_batch_that_is_given_up(odd):
    requests = [asked(metal(29, 3.5 + 0.02 * step), [1, 2]) for step in range(12)]
    requests.insert(6, asked(metal(79, 4.1), [1, 2]))
    scorer = odd(structure_limit_s=8.0)
    with served(scorer, MergeSettings(window_s=0.3, patience_s=1.0)) as common:
        answers = [call.result() for call in common.together(requests)]
    held = answers.pop(6).scores[0]
    assert all(answer.scores[0].HasField("energy_per_atom") for answer in answers)
    failed = {result.component: result.status for result in held.components}
    assert failed[2] == crystal_pb2.STRUCTURE_STATUS_TIMEOUT


def test_many_callers_at_once_all_get_their_own_answer(make_scorer, crystals):
    some = [*crystals.values()]
    with served(make_scorer(), MergeSettings()) as common, ThreadPoolExecutor(24) as threads:

        def call(turn: int) -> tuple[str, str]:
            crystal = some[turn * 7 % len(some)]
            return crystal.formula, common.stub.Score(asked(crystal), timeout=60).scores[0].formula

        pairs = list(threads.map(call, range(240)))
        assert common.merged
    assert all(wanted == got for wanted, got in pairs)
