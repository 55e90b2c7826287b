"""One trace through trainer, generator and oracle, as OpenTelemetry records it."""

import torch
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from generator_svc.cleanup.relax import OracleRelaxer
from generator_svc.service.engine import Engine
from generator_svc.service.servicer import GeneratorService
from generator_svc.storage.bundle import load_bundle
from tests.integration.trainer_svc.geometry_oracle import GeometryOracle
from trainer_svc.service import TrainerService
from xenolith.client import AsyncClient, Client
from xenolith.serving import running_server, threaded_server
from xenolith.v1 import trainer_pb2 as pb


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


def test_the_oracle_s_clean_up_of_samples_belongs_to_the_call_that_asked_for_them(tiny_bundle, spans) -> None:
    with threaded_server([GeometryOracle()]) as oracle:
        relaxer = OracleRelaxer(oracle.address)
        engine = Engine(load_bundle(tiny_bundle), torch.device("cpu"), relaxer)
        with (
            threaded_server([GeneratorService(engine)]) as generator,
            Client.connect(generator=generator.address, run_id="mine") as x,
        ):
            x.generator.sample(n=2, relax_steps=3, steps=4)
        relaxer.close()
    served = [span for span in spans.get_finished_spans() if span.kind.name == "SERVER"]
    assert [span.name.removeprefix("xenolith.v1.") for span in served] == [
        "OracleService/Score",
        "GeneratorService/Sample",
    ]
    assert len(traces(served)) == 1
    assert len({span.attributes["xenolith.request_id"] for span in served}) == 1
    assert {span.attributes["xenolith.run_id"] for span in served} == {"mine"}
