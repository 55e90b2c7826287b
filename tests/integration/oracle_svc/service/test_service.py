"""The service over real gRPC, with the real calculator."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import grpc
import numpy as np
import pytest
import structlog

from oracle_svc.__main__ import main
from oracle_svc.service.servicer import OracleService
from oracle_svc.service.startup import describe
from xenolith.contract.errors import error_from_call
from xenolith.contract.wire import batch_from_proto, batch_to_proto, tensor_from_proto
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.serving import ServingSettings, threaded_server
from xenolith.v1 import crystal_pb2, oracle_pb2, oracle_pb2_grpc

ALL = [*range(1, 8), 9]
OK = crystal_pb2.STRUCTURE_STATUS_OK
UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@pytest.fixture
def stub(make_scorer):
    scorer = make_scorer()
    service = OracleService(scorer, describe(scorer, max_batch=300), threads=2)
    with threaded_server([service], ServingSettings(grace_s=1.0)) as running:  # noqa: SIM117
        with grpc.insecure_channel(running.address, options=UNLIMITED) as channel:
            yield oracle_pb2_grpc.OracleServiceStub(channel)


def request(*crystals: Crystal, components=ALL, **settings) -> oracle_pb2.ScoreRequest:
    return oracle_pb2.ScoreRequest(
        crystals=batch_to_proto(CrystalBatch.from_crystals(crystals)),
        components=components,
        settings=oracle_pb2.ScoreSettings(**settings),
    )


def refusal(call, *arguments, **named):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, timeout=60, **named)
    return error_from_call(caught.value)


def test_it_says_what_it_can_do(stub):
    answer = stub.Describe(oracle_pb2.OracleServiceDescribeRequest(), timeout=30)
    assert answer.service_version
    assert list(answer.components) == ALL
    assert answer.calculators[0].id == "chgnet-0.3.0"
    assert answer.calculators[0].supports_relaxation
    assert 11 in answer.calculators[0].elements
    assert answer.calculators[0].settings == {"device": "torch device (here cpu)"}
    assert answer.references[0].id.startswith("textbook-")
    assert answer.references[0].hull_calculator_id == "chgnet-0.3.0"
    assert answer.references[0].num_structures == 40
    assert (answer.max_atoms, answer.max_batch) == (200, 300)
    assert answer.validity_limits.min_distance == 0.5
    assert answer.cache_backend == "sqlite"


def test_a_score_carries_values_and_where_they_come_from(stub, crystals):
    answer = stub.Score(request(crystals["SrTiO3"], crystals["NaCl-rocksalt"], return_amd=True), timeout=60)
    score = answer.scores[0]
    assert score.status == OK
    assert score.formula == "SrTiO3"
    assert score.energy_per_atom == pytest.approx(-8.41672, abs=1e-4)
    assert score.nearest_reference == "SrTiO3"
    assert score.HasField("novel")
    assert not score.novel
    assert score.unique
    assert not score.HasField("duplicate_of")
    assert score.HasField("structure_diversity")
    assert len(score.amd) == 100
    assert not score.embedding
    assert [component.component for component in score.components] == ALL
    assert answer.provenance.calculator_id == "chgnet-0.3.0"
    assert answer.provenance.hull_id
    assert answer.provenance.sameness.amd_tolerance == 0.05
    assert answer.stats.calculator_calls == 2
    again = stub.Score(request(crystals["SrTiO3"], return_embeddings=True), timeout=60)
    assert again.stats.calculator_calls == 0
    assert again.provenance == answer.provenance
    assert len(again.scores[0].embedding) == 64
    assert again.scores[0].components[1].cached


def malformed(rng: np.random.Generator, good: Crystal) -> list[tuple[Crystal, set[int]]]:
    """Twenty kinds of bad structures, each with the statuses it may have."""
    s = crystal_pb2
    lattice, numbers, frac = good.lattice, good.numbers, good.frac_coords
    broken_cell, broken_frac = lattice.copy(), frac.copy()
    broken_cell[rng.integers(3), rng.integers(3)] = rng.choice([np.nan, np.inf, -np.inf])
    broken_frac[rng.integers(len(frac)), rng.integers(3)] = rng.choice([np.nan, np.inf, -np.inf])
    flat = lattice.copy()
    flat[2] = flat[0] + flat[1]
    overlapping = frac.copy()
    overlapping[1] = overlapping[0]
    near = frac.copy()
    near[1] = near[0] + np.array([0.2, 0.0, 0.0]) @ np.linalg.inv(lattice)
    zero, beyond, negative, plutonium = (numbers.copy() for _ in range(4))
    zero[0], beyond[0], negative[0], plutonium[0] = 0, 119, -3, 98
    nonfinite, cell = {s.STRUCTURE_STATUS_NONFINITE}, {s.STRUCTURE_STATUS_BAD_CELL}
    close, element = {s.STRUCTURE_STATUS_TOO_CLOSE}, {s.STRUCTURE_STATUS_UNSUPPORTED_ELEMENT}
    none = np.zeros((0, 3))
    many = 201 + int(rng.integers(100))
    cases = [
        (broken_cell, numbers, frac, nonfinite),
        (lattice, numbers, broken_frac, nonfinite),
        (np.full((3, 3), np.nan), numbers, frac, nonfinite),
        (np.zeros((3, 3)), numbers, frac, cell),
        (flat, numbers, frac, cell),
        (np.ones((3, 3)), numbers, frac, cell),
        (lattice * 1e-3, numbers, frac, cell | close),
        (lattice * 1e150, numbers, frac, cell),
        (lattice * 30, numbers, frac, cell | {s.STRUCTURE_STATUS_BAD_DENSITY}),
        (np.diag([1e-4, 1e2, 1e2]), numbers, frac, cell | close),
        (lattice, numbers, overlapping, close),
        (lattice, numbers, near, close),
        (lattice, numbers, np.zeros_like(frac), close),
        (lattice * 0.35, numbers, frac, close | cell | {s.STRUCTURE_STATUS_BAD_DENSITY}),
        (lattice, zero, frac, element),
        (lattice, beyond, frac, element),
        (lattice, negative, frac, element),
        (lattice, plutonium, frac, element),
        (lattice, none[:, 0].astype(int), none, {s.STRUCTURE_STATUS_MALFORMED}),
        (np.eye(3) * 30, np.full(many, 14), rng.random((many, 3)), {s.STRUCTURE_STATUS_TOO_LARGE}),
    ]
    return [(Crystal(lattice=a, numbers=z, frac_coords=f), expected) for a, z, f, expected in cases]


def test_two_hundred_malformed_structures_cost_no_good_one_its_score(stub, crystals, calculators):
    rng = np.random.default_rng(0)
    good = list(crystals.values())
    alone = {
        name: stub.Score(request(crystal, use_cache=False, components=[2, 3]), timeout=60).scores[0]
        for name, crystal in list(crystals.items())[20:32]
    }
    before = set(calculators.pids())
    bad = [case for i in range(10) for case in malformed(rng, good[24 + i % 8])]
    assert len(bad) == 200
    order = rng.permutation(len(bad) + len(alone))
    mixed: list[tuple[Crystal, set[int], str]] = [(crystal, expected, "") for crystal, expected in bad]
    mixed += [(crystals[name], {OK}, name) for name in alone]
    mixed = [mixed[i] for i in order]
    for start in range(0, len(mixed), 53):
        part = mixed[start : start + 53]
        call = request(*(crystal for crystal, _, _ in part), use_cache=False, components=ALL)
        answer = stub.Score(call, timeout=120)
        for index, (score, (_, expected, name)) in enumerate(zip(answer.scores, part, strict=True)):
            assert score.status in expected, (name, score)
            if name:
                assert score.energy_per_atom == pytest.approx(alone[name].energy_per_atom, abs=1e-5)
                assert score.e_above_hull == pytest.approx(alone[name].e_above_hull, abs=1e-5)
                assert score.amd_distance == alone[name].amd_distance
            else:
                assert score.message.startswith(f"structure {index}: ")
                assert not score.valid
                assert not score.HasField("energy_per_atom")
                assert not score.HasField("unique")
                skipped = [c.status for c in score.components if c.component != 1]
                assert skipped == [crystal_pb2.STRUCTURE_STATUS_SKIPPED] * (len(ALL) - 1)
    assert set(calculators.pids()) == before


def test_a_million_atoms_are_too_large_and_nothing_more(stub, crystals):
    rng = np.random.default_rng(1)
    huge = Crystal(
        lattice=np.eye(3) * 300, numbers=np.full(1_000_000, 14), frac_coords=rng.random((1_000_000, 3))
    )
    answer = stub.Score(request(crystals["SrTiO3"], huge, crystals["CaF2"]), timeout=120)
    assert [score.status for score in answer.scores] == [OK, crystal_pb2.STRUCTURE_STATUS_TOO_LARGE, OK]
    assert answer.scores[1].message == "structure 1: 1000000 atoms are more than 200"


def test_columns_that_do_not_fit_name_the_column(stub, crystals):
    call = request(crystals["SrTiO3"], crystals["CaF2"])
    call.crystals.numbers.append(8)
    error = refusal(stub.Score, call)
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in error.violations] == ["crystals.numbers"]


def test_a_disordered_structure_is_typed_and_its_neighbours_are_scored(stub, crystals):
    call = request(crystals["SrTiO3"], crystals["CaF2"])
    occupancies = call.crystals.occupancies
    sites = len(call.crystals.numbers)
    occupancies.species_per_site.extend([2] + [1] * (sites - 1))
    occupancies.numbers.extend([38, 56, *call.crystals.numbers[1:]])
    occupancies.fractions.extend([0.6, 0.4] + [1.0] * (sites - 1))
    answer = stub.Score(call, timeout=60)
    assert [score.status for score in answer.scores] == [crystal_pb2.STRUCTURE_STATUS_DISORDERED, OK]
    del occupancies.fractions[-1]
    assert refusal(stub.Score, call).violations[0].field == "crystals.occupancies.fractions"


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (
            {"settings": {"calculator_id": "mace"}},
            "FAILED_PRECONDITION",
            "calculator is chgnet-0.3.0, not mace",
        ),
        ({"settings": {"reference_id": "other"}}, "FAILED_PRECONDITION", "not other"),
        ({"expected_settings_digest": "abc"}, "FAILED_PRECONDITION", "not abc"),
        ({"components": [8]}, "FAILED_PRECONDITION", "no second calculator"),
        ({"settings": {"properties": ["hardness"]}}, "INVALID_ARGUMENT", "settings.properties[0]"),
        ({"components": [99]}, "INVALID_ARGUMENT", "components[0]"),
        ({"settings": {"relax": {"algorithm": 2}}}, "UNIMPLEMENTED", "not by RELAX_ALGORITHM_LBFGS"),
        ({"settings": {"relax": {"max_steps": 0}}}, "INVALID_ARGUMENT", "settings.relax.max_steps"),
        ({"settings": {"relax": {"fmax": -1.0}}}, "INVALID_ARGUMENT", "settings.relax.fmax"),
        ({"settings": {"relax": {}}, "components": [3]}, "INVALID_ARGUMENT", "COMPONENT_STABILITY"),
        ({"settings": {"structure_timeout_s": -1.0}}, "INVALID_ARGUMENT", "structure_timeout_s"),
        ({"settings": {"sameness": {"metric": 2}}}, "FAILED_PRECONDITION", "holds no structures"),
    ],
)
def test_what_is_not_served_is_refused_with_advice(stub, crystals, change, code, text):
    call = request(crystals["SrTiO3"], components=[])
    call.MergeFrom(oracle_pb2.ScoreRequest(**change))
    error = refusal(stub.Score, call)
    assert error.code == grpc.StatusCode[code]
    assert text in str(error)


def test_a_few_steps_of_relaxation_give_a_crystal_back(stub, crystals):
    wide = Crystal(
        lattice=crystals["SrTiO3"].lattice * 1.05,
        numbers=crystals["SrTiO3"].numbers,
        frac_coords=crystals["SrTiO3"].frac_coords,
    )
    call = request(wide, components=[2], return_forces=True)
    call.settings.relax.MergeFrom(oracle_pb2.RelaxOptions(max_steps=3, fmax=0.001, return_crystals=True))
    (score,) = stub.Score(call, timeout=60).scores
    assert score.status == OK
    assert score.relaxation.status == crystal_pb2.STRUCTURE_STATUS_RELAXATION_FAILED
    assert score.relaxation.message.startswith("structure 0: not converged after 3 steps")
    assert score.relaxation.energy_per_atom < score.energy_per_atom
    assert score.relaxation.e_above_hull < score.e_above_hull
    relaxed = batch_from_proto(score.relaxation.crystal)[0]
    assert relaxed.num_atoms == 5
    assert relaxed.volume / wide.volume == pytest.approx(score.relaxation.volume_ratio)
    assert tensor_from_proto(score.forces.forces).shape == (5, 3)
    stress = tensor_from_proto(score.forces.stress)
    # Stretched by 5 %: some ten GPa of tension, alike in all directions.
    assert 5 < stress[0, 0] < 50
    np.testing.assert_allclose(stress, stress[0, 0] * np.eye(3), atol=0.1)


def test_too_many_structures_are_refused(stub, crystals):
    error = refusal(stub.Score, request(*[crystals["NaCl-rocksalt"]] * 301))
    assert "holds 301 structures, more than 300" in error.message


def test_the_expected_digest_is_accepted(stub, crystals):
    digest = stub.Score(request(crystals["SrTiO3"]), timeout=60).provenance.settings_digest
    call = request(crystals["SrTiO3"])
    call.expected_settings_digest = digest
    assert stub.Score(call, timeout=60).provenance.settings_digest == digest


def test_operations_say_what_to_use_instead(stub):
    for call, message in (
        (stub.SubmitScore, oracle_pb2.SubmitScoreRequest()),
        (stub.GetOperation, oracle_pb2.GetOperationRequest()),
        (stub.WaitOperation, oracle_pb2.WaitOperationRequest()),
        (stub.CancelOperation, oracle_pb2.CancelOperationRequest()),
    ):
        error = refusal(call, message)
        assert error.code == grpc.StatusCode.UNIMPLEMENTED
        assert "use Score, or ScoreStream" in error.message


def test_a_stream_answers_every_batch_once_and_survives_a_bad_one(stub, crystals):
    wrong = request(crystals["SrTiO3"])
    wrong.crystals.numbers.append(8)
    names = list(crystals)
    requests = [request(crystals[names[i]], crystals[names[i + 1]]) for i in range(10)]
    requests[4] = wrong
    answers = list(
        stub.ScoreStream(
            (oracle_pb2.ScoreStreamRequest(batch_id=100 + i, request=r) for i, r in enumerate(requests)),
            timeout=120,
        )
    )
    assert sorted(answer.batch_id for answer in answers) == list(range(100, 110))
    for answer in answers:
        if answer.batch_id == 104:
            assert answer.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
            assert "crystals.numbers" in answer.error.field_violations
        else:
            assert [score.status for score in answer.response.scores] == [OK, OK]


def test_a_stream_answers_while_it_is_still_open(stub, crystals):
    first_answer_read = threading.Event()

    def batches():
        yield oracle_pb2.ScoreStreamRequest(batch_id=1, request=request(crystals["CaF2"]))
        if first_answer_read.wait(60):
            yield oracle_pb2.ScoreStreamRequest(batch_id=2, request=request(crystals["CaF2"]))

    stream = stub.ScoreStream(batches(), timeout=120)
    assert next(stream).batch_id == 1
    first_answer_read.set()
    assert [answer.batch_id for answer in stream] == [2]


def test_a_deadline_and_a_cancelled_call_leave_the_service_well(stub, crystals):
    many = [
        Crystal(lattice=c.lattice * (1 + i / 1000), numbers=c.numbers, frac_coords=c.frac_coords)
        for c in crystals.values()
        for i in range(1, 6)
    ]
    with pytest.raises(grpc.RpcError) as caught:
        stub.Score(request(*many, use_cache=False), timeout=0.3)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    call = stub.Score.future(request(*many, use_cache=False), timeout=60)
    time.sleep(0.2)
    call.cancel()
    stream = stub.ScoreStream(
        iter([oracle_pb2.ScoreStreamRequest(batch_id=1, request=request(*many, use_cache=False))]), timeout=60
    )
    time.sleep(0.2)
    stream.cancel()
    assert stub.Score(request(crystals["CaF2"]), timeout=60).scores[0].status == OK


def test_the_process_serves_and_drains(reference_dir, crystals, tmp_path):
    """`python -m oracle_svc` from start to SIGTERM, with its cache on disk."""
    command = [sys.executable, "-m", "oracle_svc", "--port", "0", "--workers", "1", "--log-format", "json"]
    command += ["--reference", str(reference_dir), "--cache", f"sqlite:///{tmp_path}/cache.db"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        with grpc.insecure_channel(_address(process)) as channel:
            stub = oracle_pb2_grpc.OracleServiceStub(channel)
            hits = [stub.Score(request(crystals["CaF2"]), timeout=60).stats.cache_hits for _ in range(2)]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert hits == [0, 2]
    assert (tmp_path / "cache.db").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--reference", "/nowhere"], "no bundle '/nowhere'"),
        (["--workers", "none"], "workers"),
        (["--reference", "none", "--calculator", "astrology"], "astrology"),
        (["--reference", "none", "--cache", "memcached://host"], "expected sqlite:///FILE"),
    ],
)
def test_a_wrong_setting_ends_the_process_with_advice(arguments, text, capsys):
    try:
        assert main(["--port", "0", *arguments]) == 2
    finally:
        structlog.reset_defaults()  # its lines go to the stream of this test alone
    assert text in capsys.readouterr().err


def _address(process: subprocess.Popen[str]) -> str:
    import json

    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("{") and (entry := json.loads(line)).get("event") == "serving":
            return str(entry["address"])
    raise AssertionError("the process ended before it served")
