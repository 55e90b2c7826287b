"""One trace through trainer, generator and oracle, as OpenTelemetry records it."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from trainer_svc.service import TrainerService
from xenolith.client import AsyncClient
from xenolith.serving import running_server
from xenolith.tracing import record_with
from xenolith.v1 import trainer_pb2 as pb


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    record_with(provider.get_tracer("xenolith"))
    yield exporter
    record_with(None)


def of(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def traces(found: list[ReadableSpan]) -> set[int]:
    return {span.context.trace_id for span in found if span.context}


def test_each_training_step_is_one_trace_through_all_three_services(lab, small_run, spans) -> None:
    small_run.evaluation.n = 0
    small_run.steps = 2

    async def scenario(lab):
        run = await lab.run(small_run)
        assert run.state == pb.RUN_STATE_SUCCEEDED, run.message

    lab(scenario)
    steps = of(spans, "training step")
    assert [step.attributes["xenolith.step"] for step in steps] == [1, 2]
    assert len(traces(steps)) == 2
    for step in steps:
        inside = {span.context.span_id: span for span in spans.get_finished_spans()}
        inside = {key: span for key, span in inside.items() if traces([span]) == traces([step])}
        served = [span for span in inside.values() if span.kind.name == "SERVER"]
        assert {span.attributes["rpc.service"] + "/" + span.attributes["rpc.method"] for span in served} >= {
            "xenolith.v1.GeneratorService/Sample",
            "xenolith.v1.OracleService/Score",
            "xenolith.v1.GeneratorService/UpdateWeights",
        }
        for span in served:
            assert span.attributes["xenolith.run_id"] == "small"
            client = inside[span.parent.span_id]
            assert (client.kind.name, client.name) == ("CLIENT", span.name)
            assert client.parent.span_id == step.context.span_id


def test_a_call_of_the_sdk_is_one_trace_through_all_services_that_work_for_it(lab, spans) -> None:
    async def scenario(lab):
        async with (
            running_server([TrainerService(lab.manager)]) as trainer,
            AsyncClient.connect(trainer=trainer.address) as x,
        ):
            await x.trainer.evaluate(n=4, settings={"bootstrap": 100})

    lab(scenario)
    roots = [span for span in spans.get_finished_spans() if span.parent is None]
    assert [root.name for root in roots] == ["xenolith.v1.TrainerService/Evaluate"]
    served = [span for span in spans.get_finished_spans() if span.kind.name == "SERVER"]
    assert {span.name.split("/")[0] for span in served} == {
        f"xenolith.v1.{name}Service" for name in ("Generator", "Oracle", "Trainer")
    }
    assert traces(served) == traces(roots)
    assert len({span.attributes["xenolith.request_id"] for span in served}) == 1
    assert {span.attributes["rpc.grpc.status_code"] for span in served} == {0}
