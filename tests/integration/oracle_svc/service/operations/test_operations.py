"""Operations over real gRPC: submitted, followed, cancelled, and kept over kills of the process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest

from oracle_svc.cache import open_cache
from oracle_svc.crystals.validity import ValidityLimits
from oracle_svc.pipeline.resources import Resources
from oracle_svc.pipeline.scorer import Scorer
from oracle_svc.pools.calculator_pool import CalculatorPool
from oracle_svc.service.operations import OperationSettings
from oracle_svc.service.operations.owners import Owner
from oracle_svc.service.operations.rows import OperationRow, State
from oracle_svc.service.operations.store import OperationStore
from oracle_svc.service.servicer import OracleService
from oracle_svc.service.startup import describe
from tests.integration.oracle_svc.service.operations.slow_calculator import CALLS, GATE
from xenolith.cli import main as cli
from xenolith.client import AsyncClient, Client
from xenolith.contract.errors import error_from_call
from xenolith.contract.wire import batch_to_proto
from xenolith.convert import write_cif
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.errors import DeadlineError
from xenolith.serving import ServingSettings, threaded_server
from xenolith.v1 import crystal_pb2, oracle_pb2, oracle_pb2_grpc

OK = crystal_pb2.STRUCTURE_STATUS_OK
MEASURED = crystal_pb2.STRUCTURE_STATUS_NO_REFERENCE
"""An energy, and no hull to place it on: the processes here have no reference."""
SKIPPED = crystal_pb2.STRUCTURE_STATUS_SKIPPED
Stub = oracle_pb2_grpc.OracleServiceStub
ADDRESS: dict[Stub, str] = {}
"""Where the servers of this module are."""


def metal(symbol: int, a: float) -> Crystal:
    return Crystal(
        lattice=np.array([[0, a, a], [a, 0, a], [a, a, 0]]) / 2,
        numbers=np.array([symbol]),
        frac_coords=np.zeros((1, 3)),
    )


def copper(count: int) -> list[Crystal]:
    return [metal(29, 3.5 + 0.02 * index) for index in range(count)]


def scoring(*crystals: Crystal, components: tuple[int, ...] = (1, 2, 4), **more) -> oracle_pb2.ScoreRequest:
    return oracle_pb2.ScoreRequest(
        crystals=batch_to_proto(CrystalBatch.from_crystals(crystals)), components=components, **more
    )


def submission(*crystals: Crystal, key: str = "", **more) -> oracle_pb2.SubmitScoreRequest:
    return oracle_pb2.SubmitScoreRequest(request=scoring(*crystals), idempotency_key=key, **more)


def submitted(stub: Stub, request: oracle_pb2.SubmitScoreRequest) -> oracle_pb2.Operation:
    return stub.SubmitScore(request, timeout=60).operation


def state(stub: Stub, operation: str, *, partial: bool = False) -> oracle_pb2.Operation:
    request = oracle_pb2.GetOperationRequest(operation_id=operation, include_partial_results=partial)
    return stub.GetOperation(request, timeout=60).operation


def ended(stub: Stub, operation: str, timeout_s: float = 120.0) -> oracle_pb2.Operation:
    request = oracle_pb2.WaitOperationRequest(operation_id=operation)
    answer = stub.WaitOperation(request, timeout=timeout_s).operation
    assert answer.state >= oracle_pb2.OPERATION_STATE_SUCCEEDED, answer
    return answer


def refusal(call, request):
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=60)
    return error_from_call(caught.value)


@pytest.fixture
def serve(make_scorer, tmp_path: Path) -> Callable[..., Stub]:
    """Serve CHGNet with operations in a folder of this test."""

    @contextmanager
    def serving(**settings) -> Iterator[Stub]:
        scorer = make_scorer()
        kept = OperationSettings(folder=tmp_path / "state", **settings)
        service = OracleService(scorer, describe(scorer, max_batch=300), operations=kept)
        try:
            with threaded_server([service], ServingSettings(grace_s=1.0)) as running:  # noqa: SIM117
                with grpc.insecure_channel(running.address) as channel:
                    yield Stub(channel)
        finally:
            service._kept.close()  # the scorer's calculators are shared with other tests

    return serving


class Gate:
    """Lets structures of `SlowEMT` pass, and tells which were computed."""

    def __init__(self, folder: Path) -> None:
        self.gate, self.calls = folder / "gate", folder / "calls"
        self.gate.touch()
        self.calls.touch()

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
        return {"PYTHONPATH": path, GATE: str(self.gate), CALLS: str(self.calls)}

    def let_pass(self, count: int) -> None:
        """Let so many further structures be computed."""
        os.truncate(self.gate, len(self.computed()) + count)

    def computed(self) -> list[str]:
        """Volumes of the structures computed so far, by all processes."""
        return self.calls.read_text().split()


SLOW = {"factory": "slow_calculator:SlowEMT", "id": "slow-emt", "elements": ["Cu", "Au", "Al"]}


class Process:
    """`python -m oracle_svc` with a calculator that waits for its cue."""

    def __init__(self, folder: Path, gate: Gate) -> None:
        self._command = [
            sys.executable, "-m", "oracle_svc", "--port", "0", "--log-format", "json", "--workers", "1",
            "--reference", "none", "--cache", "none", "--state", str(folder / "state"), "--calculator", "ase",
            "--atoms-per-batch", "1", "--calculator-settings", json.dumps(SLOW),
        ]  # fmt: skip
        self._environment = {**os.environ, **gate.environment}
        self._process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread()

    def start(self) -> Stub:
        self._process = subprocess.Popen(
            self._command, stderr=subprocess.PIPE, text=True, env=self._environment
        )
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if line.startswith("{") and (entry := json.loads(line)).get("event") == "serving":
                # Nobody reads on, and a full pipe would stop the service.
                self._reader = threading.Thread(target=self._process.communicate, daemon=True)
                self._reader.start()
                return Stub(grpc.insecure_channel(entry["address"]))
        raise AssertionError("the process ended before it served")

    def end(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._reader.join(60)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path, Gate(tmp_path))
    yield made
    made.end()


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gate, CalculatorPool]]:
    """The same calculator in a worker of this process."""
    gate = Gate(tmp_path_factory.mktemp("slow"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in gate.environment.items():
            patch.setenv(name, value)
        patch.syspath_prepend(str(Path(__file__).parent))
        pool = CalculatorPool(calculator="ase", settings=SLOW, workers=1, atoms_per_batch=1)
        yield gate, pool
        pool.close()


@pytest.fixture
def serve_slow(slow, matcher, tmp_path: Path):
    """Serve it with operations in a folder of this test, one at a time."""
    gate, pool = slow

    @contextmanager
    def serving(*, min_distance: float = 0.5, **settings) -> Iterator[Stub]:
        gate.let_pass(0)  # whatever an earlier test let pass in vain
        scorer = Scorer(Resources(
            calculators=pool, cache=open_cache("none"), matcher=matcher,
            limits=ValidityLimits(min_distance=min_distance),
        ))  # fmt: skip
        kept = OperationSettings(folder=tmp_path / "state", at_once=1, **settings)
        service = OracleService(scorer, describe(scorer, max_batch=300), operations=kept)
        try:
            with threaded_server([service], ServingSettings(grace_s=1.0)) as running:  # noqa: SIM117
                with grpc.insecure_channel(running.address) as channel:
                    stub = Stub(channel)
                    ADDRESS[stub] = running.address
                    yield stub
        finally:
            service._kept.close()

    return serving


def until_done(stub: Stub, operation: str, count: int) -> None:
    """Wait until so many structures are done; the test's own time limit ends a wait in vain."""
    while state(stub, operation).structures_done < count:
        threading.Event().wait(0.05)


def test_a_submission_gives_what_a_call_gives(serve, crystals):
    some = [crystals["SrTiO3"], crystals["NaCl-rocksalt"], crystals["SrTiO3"]]
    with serve() as stub:
        answer = stub.Describe(oracle_pb2.OracleServiceDescribeRequest(), timeout=30)
        assert answer.supports_operations
        operation = submitted(stub, submission(*some))
        assert operation.state in {1, 2} and operation.structures_total == 3
        assert operation.HasField("create_time") and not operation.HasField("expire_time")
        done = ended(stub, operation.id)
        direct = stub.Score(scoring(*some), timeout=60)
    assert done.state == oracle_pb2.OPERATION_STATE_SUCCEEDED
    assert done.structures_done == 3
    assert done.response.provenance == direct.provenance
    for one, other in zip(done.response.scores, direct.scores, strict=True):
        assert one.energy_per_atom == other.energy_per_atom
        assert one.e_above_hull == other.e_above_hull
        assert one.unique == other.unique
    assert done.end_time.seconds >= done.start_time.seconds >= done.create_time.seconds
    kept_s = done.expire_time.ToNanoseconds() - done.end_time.ToNanoseconds()
    assert kept_s == pytest.approx(7 * 86400e9)


def test_operations_are_listed_newest_first_in_pages_and_by_state(serve, crystals):
    with serve() as stub:
        ids = [submitted(stub, submission(crystals["SrTiO3"])).id for _ in range(3)]
        for one in ids:
            ended(stub, one)
        first = stub.ListOperations(oracle_pb2.ListOperationsRequest(page_size=2), timeout=30)
        assert [one.id for one in first.operations] == [ids[2], ids[1]]
        assert all(one.state == oracle_pb2.OPERATION_STATE_SUCCEEDED for one in first.operations)
        assert not any(one.HasField("response") for one in first.operations)
        rest = stub.ListOperations(
            oracle_pb2.ListOperationsRequest(page_size=2, page_token=first.next_page_token), timeout=30
        )
        assert [one.id for one in rest.operations] == [ids[0]]
        assert not rest.next_page_token
        queued = [oracle_pb2.OPERATION_STATE_QUEUED]
        assert not stub.ListOperations(oracle_pb2.ListOperationsRequest(states=queued), timeout=30).operations
        for wrong, field in (
            (oracle_pb2.ListOperationsRequest(page_size=-1), "page_size"),
            (oracle_pb2.ListOperationsRequest(page_size=1001), "page_size"),
            (oracle_pb2.ListOperationsRequest(page_token="none of ours"), "page_token"),
            (oracle_pb2.ListOperationsRequest(states=[77]), "states"),
        ):
            with pytest.raises(grpc.RpcError, match=field) as caught:
                stub.ListOperations(wrong, timeout=30)
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_relaxation_and_forces_are_kept_too(serve, crystals):
    asked = scoring(crystals["CaF2"], crystals["MgO-rocksalt"])
    asked.settings.relax.max_steps = 20
    asked.settings.return_forces = True
    with serve() as stub:
        operation = submitted(stub, oracle_pb2.SubmitScoreRequest(request=asked))
        done = ended(stub, operation.id)
        direct = stub.Score(asked, timeout=60)
    assert done.structures_done == 2
    for one, other in zip(done.response.scores, direct.scores, strict=True):
        assert one.relaxation == other.relaxation
        assert one.relaxation.steps > 0
        assert one.forces == other.forces


def test_what_score_refuses_is_refused_at_once(serve, crystals):
    with serve() as stub:
        wrong = submission(crystals["SrTiO3"])
        wrong.request.crystals.numbers.append(8)
        assert refusal(stub.SubmitScore, wrong).violations[0].field == "crystals.numbers"
        other = submission(crystals["SrTiO3"])
        other.request.settings.calculator_id = "vasp"
        assert "calculator is chgnet-0.3.0, not vasp" in refusal(stub.SubmitScore, other).message
        never = submission(crystals["SrTiO3"])
        never.retention.FromSeconds(-1)
        assert refusal(stub.SubmitScore, never).violations[0].field == "retention"
        for call, request in (
            (stub.GetOperation, oracle_pb2.GetOperationRequest(operation_id="x")),
            (stub.WaitOperation, oracle_pb2.WaitOperationRequest(operation_id="x")),
            (stub.CancelOperation, oracle_pb2.CancelOperationRequest(operation_id="x")),
        ):
            error = refusal(call, request)
            assert error.code == grpc.StatusCode.NOT_FOUND
            assert "no operation 'x'" in error.message


def test_a_key_names_one_operation(serve, crystals):
    with serve() as stub:
        first = submitted(stub, submission(crystals["CaF2"], key="mine"))
        assert submitted(stub, submission(crystals["CaF2"], key="mine")).id == first.id
        assert submitted(stub, submission(crystals["CaF2"])).id != first.id
        error = refusal(stub.SubmitScore, submission(crystals["SrTiO3"], key="mine"))
        assert error.code == grpc.StatusCode.ALREADY_EXISTS
        assert first.id in error.message
        ended(stub, first.id)
    with serve() as stub:  # also after a restart
        again = submitted(stub, submission(crystals["CaF2"], key="mine"))
        assert again.id == first.id
        assert again.response.scores[0].status == OK


def test_a_result_is_forgotten_when_its_time_is_over(serve, crystals):
    request = submission(crystals["CaF2"], key="short")
    request.retention.FromMilliseconds(1)
    with serve() as stub:
        first = submitted(stub, request)
        wait = oracle_pb2.WaitOperationRequest(operation_id=first.id)
        # It ends, and then is gone: which of the two the waiting call sees is a matter of time.
        with pytest.raises(grpc.RpcError) as caught:
            while True:
                stub.WaitOperation(wait, timeout=60)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        assert submitted(stub, request).id != first.id


def test_an_oracle_killed_or_stopped_goes_on_and_repeats_nothing(process, tmp_path):
    gate = Gate(tmp_path)
    stub = process.start()
    operation = submitted(stub, submission(*copper(5), metal(29, 1.0))).id
    gate.let_pass(2)
    until_done(stub, operation, 3)  # two computed, and the one that is far too small
    partial = state(stub, operation, partial=True)
    assert partial.state == oracle_pb2.OPERATION_STATE_RUNNING
    assert sorted(score.status for score in partial.response.scores) == sorted(
        [MEASURED, MEASURED, SKIPPED, SKIPPED, SKIPPED, crystal_pb2.STRUCTURE_STATUS_BAD_CELL]
    )
    process.end(signal.SIGKILL)
    assert len(gate.computed()) == 2

    stub = process.start()
    gate.let_pass(1)
    until_done(stub, operation, 4)
    waiting = stub.WaitOperation.future(oracle_pb2.WaitOperationRequest(operation_id=operation), timeout=120)
    state(stub, operation)
    process.end(signal.SIGTERM)
    assert waiting.result().operation.state < oracle_pb2.OPERATION_STATE_SUCCEEDED

    stub = process.start()
    gate.let_pass(2)
    done = ended(stub, operation)
    assert done.state == oracle_pb2.OPERATION_STATE_SUCCEEDED
    assert [score.status for score in done.response.scores[:5]] == [MEASURED] * 5
    assert "went on after its restart" in done.warnings[0]
    assert len(gate.computed()) == len(set(gate.computed())) == 5
    for early, late in zip(partial.response.scores, done.response.scores, strict=True):
        assert early.status != MEASURED or early.energy_per_atom == late.energy_per_atom


def test_cancelling_keeps_what_is_measured(serve_slow, slow):
    gate, _ = slow
    with serve_slow() as stub:
        running = submitted(stub, submission(*copper(4))).id
        waiting = submitted(stub, submission(*copper(2))).id
        gate.let_pass(1)
        until_done(stub, running, 1)
        assert state(stub, waiting).state == oracle_pb2.OPERATION_STATE_QUEUED
        stopped = stub.CancelOperation(oracle_pb2.CancelOperationRequest(operation_id=waiting), timeout=60)
        assert stopped.operation.state == oracle_pb2.OPERATION_STATE_CANCELLED
        assert {score.status for score in stopped.operation.response.scores} == {SKIPPED}
        stub.CancelOperation(oracle_pb2.CancelOperationRequest(operation_id=running), timeout=60)
        done = ended(stub, running)
        assert done.state == oracle_pb2.OPERATION_STATE_CANCELLED
        assert sorted(s.status for s in done.response.scores) == sorted([MEASURED] + [SKIPPED] * 3)
        assert all(score.valid for score in done.response.scores)
        again = stub.CancelOperation(oracle_pb2.CancelOperationRequest(operation_id=running), timeout=60)
        assert again.operation.state == oracle_pb2.OPERATION_STATE_CANCELLED


def test_the_urgent_goes_first_and_a_full_queue_says_when_to_come_again(serve_slow, slow):
    gate, _ = slow
    first, *rest = copper(5)
    with serve_slow(most=4) as stub:
        blocking = submitted(stub, submission(first)).id
        while state(stub, blocking).state == oracle_pb2.OPERATION_STATE_QUEUED:
            threading.Event().wait(0.05)
        normal = submitted(stub, submission(rest[0])).id
        later = submitted(stub, submission(rest[1], priority=-1)).id
        urgent = submitted(stub, submission(rest[2], priority=5, key="urgent")).id
        error = refusal(stub.SubmitScore, submission(rest[3]))
        assert error.code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.retry_after_s == 30.0
        assert submitted(stub, submission(rest[2], priority=5, key="urgent")).id == urgent
        gate.let_pass(4)
        names = (blocking, normal, later, urgent)
        begun = {name: ended(stub, name).start_time.ToNanoseconds() for name in names}
    assert sorted(begun, key=begun.__getitem__) == [blocking, urgent, normal, later]


def test_an_oracle_of_another_scale_leaves_an_operation_alone(serve_slow, slow):
    gate, _ = slow
    with serve_slow() as stub:
        operation = submitted(stub, submission(*copper(1))).id
    with serve_slow(min_distance=0.6) as stub:
        mine = submitted(stub, submission(*copper(1))).id
        gate.let_pass(1)
        ended(stub, mine)
        left = state(stub, operation)
        assert left.state == oracle_pb2.OPERATION_STATE_QUEUED
        assert any("other settings" in warning for warning in left.warnings)
    with serve_slow() as stub:
        gate.let_pass(1)
        assert ended(stub, operation).response.scores[0].status == MEASURED


def test_what_ends_the_process_every_time_fails_in_the_end(serve, tmp_path, crystals):
    with serve() as stub:
        scale = stub.Score(scoring(crystals["CaF2"]), timeout=60).provenance.settings_digest
    store = OperationStore(tmp_path / "state" / "operations.db")
    request = submission(crystals["CaF2"]).request.SerializeToString(deterministic=True)
    store.submit(_row(request, scale), key=None, priority=0, most=10)
    for _ in range(5):
        dead = Owner(tmp_path / "state" / "owners")
        assert store.claim(scale, dead.id) is not None
        dead.close()
        store.release(dead.id)
    store.close()
    with serve() as stub:
        done = ended(stub, "poison")
    assert done.state == oracle_pb2.OPERATION_STATE_FAILED
    assert done.error.code == grpc.StatusCode.INTERNAL.value[0]
    assert "5 times" in done.error.message


def _row(request: bytes, oracle: str) -> OperationRow:
    return OperationRow(
        id="poison", digest="", oracle=oracle, calculator="chgnet", retention_s=60.0, request=request,
        state=State.QUEUED, done=0, total=1, created=1.0, started=None, ended=None, expires=None,
        cancel=False, attempts=0, response=None, error=None, warnings=(),
    )  # fmt: skip


def test_handles_of_both_clients_and_the_command_line(serve_slow, slow, tmp_path, capsys):
    gate, _ = slow
    paths, told = [], tmp_path / "told.json"
    for index, crystal in enumerate(copper(2)):
        paths.append(tmp_path / f"{index}.cif")
        write_cif(crystal, paths[-1])
    with serve_slow() as stub, Client.connect(oracle=ADDRESS[stub]) as client:
        where = ["--oracle", ADDRESS[stub], "--json", str(told)]
        what = ["--components", "validity,stability"]
        assert cli(["score", *map(str, paths), "--submit", *what, *where]) == 0
        name = json.loads(told.read_text())["id"]
        handle = client.oracle.operation(name)
        assert not handle.done
        with pytest.raises(DeadlineError, match="0 of 2"):
            handle.wait(timeout_s=0.1)
        gate.let_pass(1)
        until_done(stub, name, 1)
        partial = handle.refresh(partial=True)
        assert sorted(score.status for score in partial.scores) == ["NO_REFERENCE", "SKIPPED"]
        assert cli(["operation", "show", name, "--oracle", ADDRESS[stub]]) == 0
        assert f"operation {name}: RUNNING, 1 of 2 structures" in capsys.readouterr().out
        gate.let_pass(1)
        seen = [now.structures_done for now in handle.progress()]
        assert seen[-1] == 2
        scores = handle.wait()
        assert [score.formula for score in scores] == ["Cu", "Cu"]
        # No hull, so no structure is OK, and the exit status says so.
        assert cli(["operation", "wait", name, *where]) == 1
        answer = json.loads(told.read_text())
        assert answer["state"] == "SUCCEEDED"
        assert answer["scores"][0]["energy_per_atom"] == scores[0].energy_per_atom
        second = client.oracle.submit_score(copper(1), components=["stability"], priority=1, retention_s=60.0)
        assert cli(["operation", "cancel", second.id, *where]) == 0
        ended(stub, second.id)  # or it would take the next one's turn

        async def with_a_loop() -> list[str]:
            async with AsyncClient.connect(oracle=ADDRESS[stub]) as other:
                third = await other.oracle.submit_score(
                    copper(3)[2], components=["stability"], idempotency_key="third"
                )
                again = await other.oracle.operation(third.id)
                gate.let_pass(1)
                states = [now.state async for now in again.progress()]
                await again.wait()
                return [states[-1], (await third.refresh()).state, (await third.cancel()).state]

        assert asyncio.run(with_a_loop()) == ["SUCCEEDED"] * 3
    assert cli(["operation", "show", name]) == 1
    assert "--oracle HOST:PORT" in capsys.readouterr().err
