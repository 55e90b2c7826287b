"""The server side of every service, over real sockets."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from xenolith.errors import UnavailableError
from xenolith.serving import ServingSettings, running_server
from xenolith.v1 import crystal_pb2, oracle_pb2, oracle_pb2_grpc

SERVICE = "xenolith.v1.OracleService"


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 60))


def request(mode: str, atoms: int = 1) -> oracle_pb2.ScoreRequest:
    settings = oracle_pb2.ScoreSettings(calculator_id=mode)
    return oracle_pb2.ScoreRequest(crystals=crystal_pb2.CrystalBatch(num_atoms=[atoms]), settings=settings)


async def failure(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def details(error: grpc.aio.AioRpcError, kind: type) -> Any:
    status = rpc_status.from_call(error)
    assert status is not None
    for detail in status.details:
        message = kind()
        if detail.Unpack(message):
            return message
    raise AssertionError(f"no {kind.__name__} in {status}")


def with_oracle(
    echo: Callable[[], Any], settings: ServingSettings | None, body: Callable[..., Coroutine[Any, Any, None]]
) -> None:
    async def main() -> None:
        servicer = echo()
        async with (
            running_server([servicer], settings) as running,
            grpc.aio.insecure_channel(running.address) as channel,
        ):
            await body(servicer, oracle_pb2_grpc.OracleServiceStub(channel), channel)

    run(main())


def test_answers_and_carries_ids(echo: Any) -> None:
    async def body(_servicer: Any, stub: Any, _channel: Any) -> None:
        metadata = (("x-request-id", "abc"), ("x-run-id", "run-7"))
        answer = await stub.Describe(oracle_pb2.OracleServiceDescribeRequest(), metadata=metadata)
        assert (answer.service_version, answer.cache_backend) == ("abc", "run-7")
        made = await stub.Describe(oracle_pb2.OracleServiceDescribeRequest())
        assert len(made.service_version) == 32
        assert made.cache_backend == ""

    with_oracle(echo, None, body)


def test_errors_keep_code_message_and_field(echo: Any) -> None:
    async def body(_servicer: Any, stub: Any, _channel: Any) -> None:
        error = await failure(stub.Score(request("invalid"), metadata=(("x-request-id", "r1"),)))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert error.details() == "columns disagree"
        violation = details(error, error_details_pb2.BadRequest).field_violations[0]
        assert (violation.field, violation.description) == ("crystals.numbers", "has 3 entries, expected 2")
        assert details(error, error_details_pb2.RequestInfo).request_id == "r1"

    with_oracle(echo, None, body)


def test_a_fault_is_hidden_and_the_service_lives_on(echo: Any) -> None:
    async def body(_servicer: Any, stub: Any, _channel: Any) -> None:
        error = await failure(stub.Score(request("bug")))
        assert error.code() == grpc.StatusCode.INTERNAL
        assert "secret" not in (error.details() or "")
        assert details(error, error_details_pb2.RequestInfo).request_id
        assert len((await stub.Score(request("fine"))).scores) == 1

    with_oracle(echo, None, body)


def test_a_stream_ends_in_a_rich_error(echo: Any) -> None:
    async def body(_servicer: Any, stub: Any, _channel: Any) -> None:
        call = stub.ScoreStream(iter([oracle_pb2.ScoreStreamRequest(batch_id=4)]))
        answers = []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for answer in call:
                answers.append(answer.batch_id)  # noqa: PERF401  # the error comes inside the loop
        assert answers == [4]
        assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert caught.value.details() == "stream over"

    with_oracle(echo, None, body)


def test_unserved_calls_are_unimplemented(echo: Any) -> None:
    async def body(_servicer: Any, stub: Any, _channel: Any) -> None:
        error = await failure(stub.SubmitScore(oracle_pb2.SubmitScoreRequest()))
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED

    with_oracle(echo, None, body)


def test_a_full_service_refuses_calls_but_no_health_check(echo: Any) -> None:
    async def body(servicer: Any, stub: Any, channel: Any) -> None:
        held = stub.Score(request("wait"))
        await servicer.entered.wait()
        error = await failure(stub.Score(request("fine")))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert details(error, error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() == 250
        assert dict(error.trailing_metadata() or ())["grpc-retry-pushback-ms"] == "250"
        check = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert (await check).status == health_pb2.HealthCheckResponse.SERVING
        servicer.release.set()
        assert len((await held).scores) == 1
        assert len((await stub.Score(request("fine"))).scores) == 1

    with_oracle(echo, ServingSettings(max_in_flight=1, retry_after_s=0.25, grace_s=1), body)


def test_a_cancelled_call_frees_its_slot(echo: Any) -> None:
    async def body(servicer: Any, stub: Any, _channel: Any) -> None:
        held = stub.Score(request("wait"))
        await servicer.entered.wait()
        held.cancel()
        await servicer.cancelled.wait()
        assert len((await stub.Score(request("fine"), wait_for_ready=True)).scores) == 1

    with_oracle(echo, ServingSettings(max_in_flight=1, grace_s=1), body)


def test_a_deadline_reaches_the_handler(echo: Any) -> None:
    async def body(servicer: Any, stub: Any, _channel: Any) -> None:
        error = await failure(stub.Score(request("wait"), timeout=0.2))
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        await servicer.cancelled.wait()

    with_oracle(echo, None, body)


def test_token_guards_calls_but_no_health_check(echo: Any) -> None:
    async def body(_servicer: Any, stub: Any, channel: Any) -> None:
        describe = oracle_pb2.OracleServiceDescribeRequest()
        for shown in [(), (("authorization", "Bearer wrong"),)]:
            error = await failure(stub.Describe(describe, metadata=shown))
            assert error.code() == grpc.StatusCode.UNAUTHENTICATED
            assert "letmein" not in (error.details() or "")
        await stub.Describe(describe, metadata=(("authorization", "Bearer letmein"),))
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())

    with_oracle(echo, ServingSettings(token="letmein", grace_s=1), body)  # type: ignore[arg-type]


def test_reflection_lists_the_service(echo: Any) -> None:
    async def body(_servicer: Any, _stub: Any, channel: Any) -> None:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        listed = [s.name async for answer in call for s in answer.list_services_response.service]
        assert {SERVICE, "grpc.health.v1.Health"} <= set(listed)

    with_oracle(echo, None, body)


def test_messages_beyond_the_default_of_4_mib_arrive(echo: Any) -> None:
    async def body(_servicer: Any, stub: Any, _channel: Any) -> None:
        atoms = 500_000
        batch = crystal_pb2.CrystalBatch(
            num_atoms=[atoms], numbers=[11] * atoms, frac_coords=[0.5] * (3 * atoms)
        )
        assert batch.ByteSize() > 12e6
        assert (await stub.Score(oracle_pb2.ScoreRequest(crystals=batch))).scores[0].message == str(atoms)

    with_oracle(echo, None, body)


def test_leaving_drains_calls_in_flight(echo: Any) -> None:
    async def main() -> None:
        servicer = echo()
        async with running_server([servicer], ServingSettings(grace_s=30)) as running:
            channel = grpc.aio.insecure_channel(running.address)
            held = oracle_pb2_grpc.OracleServiceStub(channel).Score(request("wait"))
            await servicer.entered.wait()
            asyncio.get_running_loop().call_later(0.3, servicer.release.set)
        assert len((await held).scores) == 1
        await channel.close()

    run(main())


def test_a_taken_port_is_refused(echo: Any) -> None:
    async def main() -> None:
        async with running_server([echo()]) as running:
            with pytest.raises(UnavailableError, match=f"cannot listen on 127.0.0.1:{running.port}"):
                async with running_server([echo()], ServingSettings(port=running.port)):
                    pass

    run(main())


def test_bytes_that_are_no_message_are_refused_in_words(echo: Callable[[], Any]) -> None:
    async def body(_servicer: Any, stub: Any, channel: grpc.aio.Channel) -> None:
        noise = b"\x0a\xff\xff\xff\xff\x07 too short"
        unary = channel.unary_unary(f"/{SERVICE}/Score")
        error = await failure(unary(noise))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert error.details() == "these bytes are no request of Score: does the client know another version?"
        stream = channel.stream_stream(f"/{SERVICE}/ScoreStream")(iter([noise]))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stream:
                pass
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert (await stub.Score(request("ok"))).scores

    with_oracle(echo, None, body)
