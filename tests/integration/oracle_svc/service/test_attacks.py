"""Requests of few bytes and much work: refused with the field's name, in an error of a few lines."""

from __future__ import annotations

import threading

import grpc
import pytest

from oracle_svc.service.operations import OperationSettings
from oracle_svc.service.servicer import OracleService
from oracle_svc.service.settings import OracleSettings
from oracle_svc.service.startup import describe, request_limits
from xenolith.contract.errors import error_from_call
from xenolith.contract.wire import batch_to_proto
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.errors import XenolithError
from xenolith.serving import ServingSettings, threaded_server
from xenolith.v1 import oracle_pb2, oracle_pb2_grpc

UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
LIMITS = request_limits(OracleSettings(max_known=5_000), as_jobs=False)
LARGEST_TRAILERS = 8 * 1024


@pytest.fixture
def stub(make_scorer, tmp_path):
    scorer = make_scorer()
    service = OracleService(
        scorer,
        describe(scorer, max_batch=300, limits=LIMITS),
        threads=2,
        operations=OperationSettings(folder=tmp_path),
    )
    with (
        threaded_server([service], ServingSettings(grace_s=1.0)) as running,
        grpc.insecure_channel(running.address, options=UNLIMITED) as channel,
    ):
        yield oracle_pb2_grpc.OracleServiceStub(channel)


def request(crystal: Crystal, **settings) -> oracle_pb2.ScoreRequest:
    return oracle_pb2.ScoreRequest(
        crystals=batch_to_proto(CrystalBatch.from_crystals([crystal])),
        components=[oracle_pb2.COMPONENT_VALIDITY, oracle_pb2.COMPONENT_STABILITY],
        settings=oracle_pb2.ScoreSettings(**settings),
    )


def refusal(call, asked) -> XenolithError:
    with pytest.raises(grpc.RpcError) as caught:
        call(asked, timeout=60)
    error = error_from_call(caught.value)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT, error
    sent = sum(len(key) + len(value) for key, value in caught.value.trailing_metadata() or ())
    assert sent + len(caught.value.details() or "") < LARGEST_TRAILERS
    return error


def test_limits_are_described(stub):
    described = stub.Describe(oracle_pb2.OracleServiceDescribeRequest(), timeout=30).limits
    assert dict(described) == LIMITS
    assert described["settings.structure_timeout_s"] == 600


def test_unknown_settings_by_the_hundred_thousand_are_not_repeated(stub, crystals):
    """B11."""
    asked = request(crystals["SrTiO3"])
    for number in range(300_000):
        asked.settings.calculator_settings.fields[f"key {number}"].number_value = 1.0
    error = refusal(stub.Score, asked)
    assert error.violations[0].field == "settings.calculator_settings.fields"
    few = request(crystals["SrTiO3"])
    few.settings.calculator_settings.fields["k" * 4_000].number_value = 1.0
    assert len(str(refusal(stub.Score, few))) < 3_000


def test_known_structures_have_a_ceiling(stub, crystals):
    """B12."""
    asked = request(crystals["SrTiO3"])
    asked.known.num_atoms.extend([1] * 5_001)
    assert refusal(stub.Score, asked).violations[0].field == "known.num_atoms"


def test_a_cancelled_call_stops_looking_at_known_structures(make_scorer, crystals):
    """B12: what was measured would be kept for the next call; what was cancelled is not."""
    resources = make_scorer().resources
    seen = threading.Event()

    def stop() -> bool:
        over, _ = seen.is_set(), seen.set()
        return over

    batch = CrystalBatch.from_crystals([crystals["SrTiO3"]] * 50)
    with pytest.raises(Exception, match="stopped by the caller"):
        resources.known_crystals(batch, stop)
    known, _ = resources.known_crystals(batch)
    assert len(known.index) == 50


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"structure_timeout_s": 1e9}, "settings.structure_timeout_s"),
        ({"relax": {"max_steps": 2**31 - 1}}, "settings.relax.max_steps"),
        ({"properties": ["p"] * 100_000}, "settings.properties"),
        ({"calculator_id": "c" * 100_000}, "settings.calculator_id"),
    ],
)
def test_a_caller_s_patience_ends_with_the_operator_s(stub, crystals, settings, field):
    """B13."""
    asked = request(crystals["SrTiO3"], **settings)
    assert refusal(stub.Score, asked).violations[0].field == field
    submitted = oracle_pb2.SubmitScoreRequest(request=asked)
    assert refusal(stub.SubmitScore, submitted).violations[0].field == field


def test_results_are_not_kept_for_a_century(stub, crystals):
    """B13."""
    asked = oracle_pb2.SubmitScoreRequest(request=request(crystals["SrTiO3"]))
    asked.retention.seconds = 95 * 365 * 86_400
    assert refusal(stub.SubmitScore, asked).violations[0].field == "retention"
    asked.retention.Clear()
    asked.idempotency_key = "k" * 10_000
    assert refusal(stub.SubmitScore, asked).violations[0].field == "idempotency_key"


def test_a_million_components_are_counted_and_not_read(stub, crystals):
    asked = request(crystals["SrTiO3"])
    asked.components.extend([oracle_pb2.COMPONENT_VALIDITY] * 1_000_000)
    assert refusal(stub.Score, asked).violations[0].field == "components"
