"""Both clients against real servers: the same cases run through the sync and the async one."""

import asyncio
import inspect
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xenolith import AsyncClient, Client, Crystal, CrystalBatch
from xenolith.client import run_config
from xenolith.contract.chunks import WeightsReceiver, send_weights
from xenolith.contract.wire import batch_from_proto, batch_to_proto, tensor_to_proto
from xenolith.errors import (
    AuthenticationError,
    DataLossError,
    DeadlineError,
    FailedPreconditionError,
    InvalidArgumentError,
    OverloadedError,
    UnavailableError,
    UnimplementedError,
    UnreachableError,
)
from xenolith.serving import ServingSettings, threaded_server
from xenolith.v1 import (
    generator_pb2,
    generator_pb2_grpc,
    oracle_pb2,
    oracle_pb2_grpc,
    trainer_pb2,
    trainer_pb2_grpc,
)

SALT = Crystal(lattice=np.eye(3) * 4.0, numbers=[11, 17], frac_coords=[[0, 0, 0], [0.5, 0.5, 0.5]])


class CountingOracle(oracle_pb2_grpc.OracleServiceServicer):
    """Scores by counting atoms; refuses the first calls when asked to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.calls = 0
        self.metadata: dict[str, str] = {}

    async def Score(self, request: Any, context: Any) -> Any:
        self.calls += 1
        self.metadata = dict(context.invocation_metadata())
        if self.calls <= self.failures:
            raise OverloadedError("busy", retry_after_s=0.05)
        if request.settings.calculator_id == "slow":
            await asyncio.sleep(60)
        if request.expected_settings_digest not in {"", "s1"}:
            raise FailedPreconditionError(f"settings are s1, expected {request.expected_settings_digest}")
        crystals = batch_from_proto(request.crystals)
        provenance = oracle_pb2.ScoreProvenance(
            calculator_id="counter-1", reference_id="none", settings_digest="s1"
        )
        return oracle_pb2.ScoreResponse(
            scores=[self.measure(crystal, request.components) for crystal in crystals],
            provenance=provenance,
            stats=oracle_pb2.ScoreStats(cache_hits=3, calculator_calls=len(crystals)),
            warnings=["counted, not computed"],
        )

    def measure(self, crystal: Crystal, components: Any) -> oracle_pb2.StructureScore:
        score = oracle_pb2.StructureScore(
            status=1, formula=crystal.formula, e_above_hull=0.0, energy_per_atom=-float(crystal.num_atoms)
        )
        if crystal.num_atoms > 2:
            score.duplicate_of = 0
        for component in components:
            score.components.add(component=component, status=1)
        return score

    async def ScoreStream(self, requests: Any, context: Any) -> Any:
        async for request in requests:
            if not request.request.crystals.num_atoms:
                error = oracle_pb2.OperationError(code=3, message="empty batch")
                yield oracle_pb2.ScoreStreamResponse(batch_id=request.batch_id, error=error)
                continue
            response = await self.Score(request.request, context)
            yield oracle_pb2.ScoreStreamResponse(batch_id=request.batch_id, response=response)


class ScrambledGenerator(generator_pb2_grpc.GeneratorServiceServicer):
    """Answers samples one by one, in reverse; holds weights."""

    def __init__(self) -> None:
        self.weights: dict[str, Any] = {}
        self.version = "base:0"

    async def Sample(self, request: Any, context: Any) -> Any:
        counts = list(request.num_atoms) or [2] * request.num_samples
        if request.expected_policy_version not in {"", self.version}:
            raise FailedPreconditionError(
                f"policy is {self.version}, expected {request.expected_policy_version}"
            )
        for index in reversed(range(len(counts))):
            yield self.answer(request, index, counts[index])

    def answer(self, request: Any, index: int, n: int) -> generator_pb2.SampleResponse:
        crystal = Crystal(
            lattice=np.eye(3) * (index + 1), numbers=[index + 1] * n, frac_coords=np.zeros((n, 3))
        )
        response = generator_pb2.SampleResponse(
            sample_indices=[index],
            sample_seeds=[request.seed * 1000 + index],
            crystals=batch_to_proto(CrystalBatch.from_crystals([crystal])),
            latents=tensor_to_proto(np.full((n, 2), index, np.float32)),
            provenance=generator_pb2.GeneratorProvenance(
                policy_version=self.version, sampler=request.sampler
            ),
        )
        if request.return_trajectory:
            response.trajectory.latents.CopyFrom(tensor_to_proto(np.full((4, n, 2), index, np.float32)))
            response.trajectory.timesteps.extend([9, 5, 1])
            response.trajectory.old_log_probs.CopyFrom(tensor_to_proto(np.full((1, 3), -index, np.float32)))
        return response

    async def UpdateWeights(self, requests: Any, context: Any) -> Any:
        receiver = WeightsReceiver()
        async for request in requests:
            receiver.add(request)
        received = receiver.finish()
        previous, self.version = self.version, received.header.policy_version
        self.weights = received.tensors
        return generator_pb2.UpdateWeightsResponse(
            policy_version=self.version, previous_policy_version=previous, sha256=received.sha256
        )

    async def GetWeights(self, request: Any, context: Any) -> Any:
        header = generator_pb2.WeightsHeader(policy_version=self.version)
        for message in send_weights(generator_pb2.GetWeightsResponse, header, self.weights):
            if request.expected_policy_version == "damaged" and message.WhichOneof("part") == "trailer":
                message.trailer.sha256 = "0" * 64
            yield message


class BreakingTrainer(trainer_pb2_grpc.TrainerServiceServicer):
    """Breaks each watch after two events."""

    def __init__(self) -> None:
        self.config: Any = None

    async def StartRun(self, request: Any, context: Any) -> Any:
        self.config = request.config
        run = trainer_pb2.Run(name=request.config.name, state=trainer_pb2.RUN_STATE_QUEUED, steps_total=5)
        return trainer_pb2.StartRunResponse(run=run)

    async def WatchRun(self, request: Any, context: Any) -> Any:
        for count, sequence in enumerate(range(request.after_sequence + 1, 6)):
            if count == 2:
                raise UnavailableError("going away")
            yield trainer_pb2.WatchRunResponse(sequence=sequence, step=trainer_pb2.StepEvent(step=sequence))

    async def Evaluate(self, request: Any, context: Any) -> Any:
        yield trainer_pb2.EvaluateResponse(progress=trainer_pb2.Progress(stage="score", done=1, total=2))
        if request.run_name != "unfinished":
            msun = trainer_pb2.Estimate(value=0.5, low=0.4, high=0.6)
            evaluation = trainer_pb2.Evaluation(n=request.settings.n, msun=msun)
            yield trainer_pb2.EvaluateResponse(evaluation=evaluation)

    async def GetArtifact(self, request: Any, context: Any) -> Any:
        yield trainer_pb2.GetArtifactResponse(data=b"<ht", media_type="text/html", total_bytes=6)
        yield trainer_pb2.GetArtifactResponse(data=b"ml>")


Call = Callable[[Any], Any]


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Runs ``call(client)`` with either client; streams come back as lists."""

    def run(call: Call, **connect: Any) -> Any:
        if request.param == "sync":
            with Client.connect(**connect) as client:
                result = call(client)
                return list(result) if inspect.isgenerator(result) else result
        return asyncio.run(asyncio.wait_for(in_loop(call, connect), 60))

    async def in_loop(call: Call, connect: dict[str, Any]) -> Any:
        async with AsyncClient.connect(**connect) as client:
            result = call(client)
            return [item async for item in result] if inspect.isasyncgen(result) else await result

    return run


@contextmanager
def serving(servicer: Any, settings: ServingSettings | None = None) -> Iterator[str]:
    with threaded_server([servicer], settings) as running:
        yield running.address


def test_scores_keep_the_order_and_absent_is_not_zero(ask: Any) -> None:
    with serving(CountingOracle()) as address:
        broken = {"lattice": np.eye(3), "numbers": [1, 2], "frac_coords": [[0, 0, 0]]}
        scores = ask(lambda x: x.oracle.score([SALT, broken, SALT], components=["stability"]), oracle=address)
    assert [s.status for s in scores] == ["OK", "MALFORMED", "OK"]
    assert scores[1].message == "structure 1: frac_coords has shape (1, 3), expected (2, 3)"
    good = scores[2].to_dict()
    assert (good["source"], good["formula"], good["energy_per_atom"]) == ("2", "NaCl", -2.0)
    assert (good["e_above_hull"], good["novel"]) == (0.0, None)
    assert (good["calculator"], good["components"]) == ("counter-1", {"STABILITY": "OK"})
    assert (scores.cache_hits, scores.warnings) == (3, ("counted, not computed",))


def test_duplicate_of_counts_what_the_user_gave(ask: Any) -> None:
    big = Crystal(lattice=np.eye(3) * 9, numbers=[1, 2, 3], frac_coords=np.zeros((3, 3)))
    with serving(CountingOracle()) as address:
        scores = ask(lambda x: x.oracle.score([{"lattice": 1}, SALT, big]), oracle=address)
    assert [s.duplicate_of for s in scores] == [None, None, 1]


def test_overload_is_retried_even_with_large_requests(ask: Any) -> None:
    oracle = CountingOracle(failures=2)
    many = Crystal(lattice=np.eye(3) * 99, numbers=[11] * 40_000, frac_coords=np.zeros((40_000, 3)))
    with serving(oracle) as address:
        assert ask(lambda x: x.oracle.score(many), oracle=address)[0].ok
        assert oracle.calls == 3


def test_without_retries_overload_is_reported(ask: Any) -> None:
    with serving(CountingOracle(failures=1)) as address, pytest.raises(OverloadedError) as caught:
        ask(lambda x: x.oracle.score(SALT), oracle=address, attempts=1)
    assert caught.value.retry_after_s == pytest.approx(0.05)
    assert caught.value.request_id


def test_errors_are_typed_and_keep_the_message(ask: Any) -> None:
    with serving(CountingOracle()) as address:
        with pytest.raises(FailedPreconditionError, match="settings are s1, expected s2"):
            ask(lambda x: x.oracle.score(SALT, expected_settings_digest="s2"), oracle=address)
        with pytest.raises(UnimplementedError, match="Describe"):
            ask(lambda x: x.oracle.get_operation("1"), oracle=address)
        with pytest.raises(DeadlineError):
            ask(
                lambda x: x.oracle.score(SALT, settings={"calculator_id": "slow"}, timeout_s=0.3),
                oracle=address,
            )
        with pytest.raises(InvalidArgumentError, match="no component 'mood'; there are validity"):
            ask(lambda x: x.oracle.score(SALT, components=["mood"]), oracle=address)
        with pytest.raises(InvalidArgumentError, match="calculater"):
            ask(lambda x: x.oracle.score(SALT, settings={"calculater_id": "x"}), oracle=address)
        with pytest.raises(InvalidArgumentError, match="no trainer address given"):
            ask(lambda x: x.trainer.get_run("r"), oracle=address)


def test_nobody_there_names_the_service_the_address_and_the_fix(ask: Any) -> None:
    with pytest.raises(UnreachableError) as caught:
        ask(lambda x: x.oracle.score(SALT), oracle="127.0.0.1:9", attempts=1)
    assert str(caught.value) == (
        "no oracle answers at 127.0.0.1:9: start it with `xenolith up`, or give the address of another"
        " (--oracle host:port)"
    )
    assert (caught.value.service, caught.value.address) == ("oracle", "127.0.0.1:9")


def test_streams_say_the_same(ask: Any) -> None:
    with pytest.raises(UnreachableError, match=r"no generator answers at 127\.0\.0\.1:9: start it"):
        ask(lambda x: x.generator.iter_samples(n=1), generator="127.0.0.1:9", attempts=1)
    with pytest.raises(UnreachableError, match=r"no generator answers at 127\.0\.0\.1:9: start it"):
        ask(lambda x: x.generator.get_weights(), generator="127.0.0.1:9", attempts=1)


def test_a_service_that_ends_in_mid_call_is_told_from_one_that_was_never_there(ask: Any) -> None:
    slow = CountingOracle()
    failed: list[BaseException] = []

    def call(address: str) -> None:
        try:
            ask(
                lambda x: x.oracle.score(SALT, settings={"calculator_id": "slow"}), oracle=address, attempts=1
            )
        except UnreachableError as error:
            failed.append(error)

    with serving(slow, ServingSettings(grace_s=0.1)) as address:
        caller = threading.Thread(target=call, args=(address,))
        caller.start()
        while not slow.calls:
            time.sleep(0.01)
    caller.join(30)
    assert [str(error) for error in failed] == [
        f"the oracle at {address} ended while Score was at work: start it again; its log says why it ended"
    ]


def test_a_web_server_is_no_oracle(ask: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as web:
        address = f"127.0.0.1:{web.getsockname()[1]}"

        def answer() -> None:
            connection, _ = web.accept()
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(UnreachableError, match=f"what answers at {address} is no oracle"):
            ask(lambda x: x.oracle.describe(), oracle=address, attempts=1)


def test_another_service_at_the_address_is_named(ask: Any) -> None:
    with (
        serving(ScrambledGenerator()) as address,
        pytest.raises(UnimplementedError, match=f"what answers at {address} knows no Describe of the oracle"),
    ):
        ask(lambda x: x.oracle.describe(), oracle=address, attempts=1)


def test_what_a_service_says_when_it_cannot_answer_is_kept(ask: Any) -> None:
    with (
        serving(BreakingTrainer()) as address,
        pytest.raises(UnavailableError, match="going away") as caught,
    ):
        ask(lambda x: x.trainer.watch_run("r"), trainer=address, attempts=1, reconnect_s=0)
    assert not isinstance(caught.value, UnreachableError)


@pytest.mark.parametrize(
    ("address", "wrong"), [("oracle", "has no port"), ("oracle:70000", "ports end"), ("http://o:1", "leave")]
)
def test_addresses_that_cannot_be_are_refused_at_once(address: str, wrong: str) -> None:
    with pytest.raises(InvalidArgumentError, match=wrong):
        Client.connect(oracle=address)


def test_token_and_run_id_travel(ask: Any) -> None:
    oracle = CountingOracle()
    with serving(oracle, ServingSettings(token="t0p", grace_s=1)) as address:  # type: ignore[arg-type]
        ask(lambda x: x.oracle.score(SALT), oracle=address, token="t0p", run_id="r7")
        assert oracle.metadata["x-run-id"] == "r7"
        with pytest.raises(AuthenticationError, match="missing"):
            ask(lambda x: x.oracle.score(SALT), oracle=address)


def test_streamed_batches_come_back_with_their_index(ask: Any) -> None:
    batches = [[SALT], [], [SALT, SALT]]

    async def one_by_one() -> Any:
        for batch in batches:
            yield batch

    def call(client: Any) -> Any:
        source = batches if isinstance(client, Client) else one_by_one()
        return client.oracle.score_stream(source)

    with serving(CountingOracle()) as address:
        answers = {answer.index: answer for answer in ask(call, oracle=address)}
    assert len(answers[2].scores) == 2
    assert isinstance(answers[1].error, InvalidArgumentError)
    assert answers[1].scores is None


def test_samples_come_back_in_the_order_asked_for(ask: Any) -> None:
    progress: list[tuple[int, int]] = []
    with serving(ScrambledGenerator()) as address:
        samples = ask(
            lambda x: x.generator.sample(
                num_atoms=[1, 3, 2],
                seed=0,
                eta=0.0,
                return_trajectory=True,
                on_progress=lambda *p: progress.append(p),
            ),
            generator=address,
        )
    assert samples.crystals.num_atoms.tolist() == [1, 3, 2]
    assert samples.crystals.numbers.tolist() == [1, 2, 2, 2, 3, 3]
    assert samples.latents[:, 0].tolist() == [0, 1, 1, 1, 2, 2]
    assert samples.trajectory.latents[3, :, 1].tolist() == [0, 1, 1, 1, 2, 2]
    assert samples.trajectory.old_log_probs[:, 0].tolist() == [0, -1, -2]
    assert samples.trajectory.timesteps == (9, 5, 1)
    assert samples.seeds.tolist() == [0, 1, 2]
    assert samples.provenance.sampler.HasField("eta")
    assert not samples.provenance.sampler.HasField("steps")
    assert progress == [(1, 3), (2, 3), (3, 3)]


def test_samples_can_be_had_as_they_are_made(ask: Any) -> None:
    with serving(ScrambledGenerator()) as address:
        parts = ask(lambda x: x.generator.iter_samples(n=3), generator=address)
    assert [part.indices.tolist() for part in parts] == [[2], [1], [0]]


def test_no_samples_is_no_error(ask: Any) -> None:
    with serving(ScrambledGenerator()) as address:
        assert len(ask(lambda x: x.generator.sample(n=0), generator=address)) == 0


def test_weights_go_there_and_back(ask: Any) -> None:
    generator = ScrambledGenerator()
    rng = np.random.default_rng(0)
    tensors = {
        "a": rng.normal(size=(700, 500)).astype(np.float32),
        "b": np.array(3),
        "c": rng.normal(size=(0, 4)),
    }
    with serving(generator) as address:
        answer = ask(
            lambda x: x.generator.update_weights(tensors, policy_version="run/1", bundle_digest="d"),
            generator=address,
        )
        assert (answer.policy_version, answer.previous_policy_version) == ("run/1", "base:0")
        received = ask(lambda x: x.generator.get_weights(), generator=address)
        with pytest.raises(DataLossError, match="arrived damaged"):
            ask(lambda x: x.generator.get_weights(expected_policy_version="damaged"), generator=address)
    assert received.header.policy_version == "run/1"
    assert list(received.tensors) == ["a", "b", "c"]
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(received.tensors[name], tensor)


def test_a_broken_watch_is_taken_up_where_it_stopped(ask: Any) -> None:
    with serving(BreakingTrainer()) as address:
        events = ask(lambda x: x.trainer.watch_run("r"), trainer=address, attempts=1)
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5]
    assert events[0].kind == "step"
    assert events[2].to_dict()["step"]["step"] == 3


def test_runs_start_from_plain_fields(ask: Any) -> None:
    trainer = BreakingTrainer()
    terms = [
        {"metric": "e_above_hull", "weight": 1.0, "transform": {"clamp": {"low": 0, "high": 1, "scale": -1}}}
    ]
    with serving(trainer) as address:
        run = ask(
            lambda x: x.trainer.start_run(
                name="r", seed=0, steps=5, reward_terms=terms, optimizer={"kl_weight": 0.1}
            ),
            trainer=address,
        )
    assert (run.name, run.state, run.ended) == ("r", "QUEUED", False)
    assert trainer.config.reward_terms[0].transform.clamp.scale == -1
    assert trainer.config.optimizer.kl_weight == 0.1
    assert not trainer.config.HasField("groups")


def test_evaluation_reports_progress_and_needs_a_result(ask: Any) -> None:
    seen: list[Any] = []
    with serving(BreakingTrainer()) as address:
        result = ask(
            lambda x: x.trainer.evaluate(n=8, on_progress=lambda *p: seen.append(p)), trainer=address
        )
        assert (result.n, result.msun.high, seen) == (8, 0.6, [("score", 1, 2)])
        with pytest.raises(Exception, match="without a result"):
            ask(lambda x: x.trainer.evaluate("unfinished"), trainer=address)


def test_artifacts_arrive_whole(ask: Any) -> None:
    with serving(BreakingTrainer()) as address:
        artifact = ask(lambda x: x.trainer.get_artifact("r", "report.html"), trainer=address)
    assert (artifact.data, artifact.media_type) == (b"<html>", "text/html")


def test_waits_until_a_service_comes_up(ask: Any) -> None:
    with threaded_server([CountingOracle()]) as first:
        port = first.port
    with pytest.raises(DeadlineError, match=r"does not serve after 0\.5 s: no oracle answers at"):
        ask(lambda x: x.oracle.wait_ready(0.5), oracle=f"127.0.0.1:{port}")
    ready = threading.Event()

    def later() -> None:
        with threaded_server([CountingOracle()], ServingSettings(port=port, grace_s=1)):
            ready.wait(30)

    thread = threading.Timer(0.5, later)
    thread.start()
    try:
        ask(lambda x: x.oracle.wait_ready(30), oracle=f"127.0.0.1:{port}")
    finally:
        ready.set()
        thread.join()


def test_unknown_fields_are_refused_by_name() -> None:
    with pytest.raises(InvalidArgumentError, match="stepz"):
        run_config(name="r", stepz=3)
    with pytest.raises(InvalidArgumentError, match="has no port; the usual one is localhost:50052"):
        Client.connect(oracle="localhost")
    with pytest.raises(InvalidArgumentError, match="tokem"):
        Client.connect(oracle="localhost:1", tokem="x")


def test_five_lines_score_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from xenolith.convert import write_cif

    write_cif(SALT, tmp_path / "salt.cif")
    (tmp_path / "bad.cif").write_text("not a crystal")
    with serving(CountingOracle()) as address, Client.connect(oracle=address) as x:
        for score in x.oracle.score(tmp_path):
            print(Path(score.source).name, score.formula, score.status, score.e_above_hull)  # noqa: T201
    assert capsys.readouterr().out == "bad.cif  MALFORMED None\nsalt.cif NaCl OK 0.0\n"
