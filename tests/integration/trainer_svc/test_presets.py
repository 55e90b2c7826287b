"""The presets of runs: each is a configuration that the trainer takes, the paper's with its own reward."""

import pytest

from generator_svc.service.servicer import GeneratorService
from xenolith.cli.trainer.presets import preset, preset_names
from xenolith.client import run_config
from xenolith.v1 import trainer_pb2 as pb


@pytest.mark.parametrize("name", preset_names())
def test_a_trainer_takes_every_preset_as_it_is(lab, name):
    async def scenario(lab):
        request = pb.StartRunRequest(config=run_config(preset(name)), validate_only=True)
        return (await lab.stub.StartRun(request)).run.config

    resolved = lab(scenario)
    assert resolved.evaluation.n == 1000
    if name == "paper":
        assert [term.metric for term in resolved.reward_terms] == [
            "creativity",
            "e_above_hull",
            "embedding_diversity",
            "composition_diversity",
        ]
        assert (resolved.groups, resolved.group_size, resolved.optimizer.clip_low) == (5, 64, 1e-3)


def test_the_paper_s_reward_values_the_generator_s_embeddings(lab, small_run):
    small_run.reward_spec, small_run.steps, small_run.evaluation.n = "paper", 1, 0
    run = lab(lambda lab: lab.run(small_run))
    assert run.state == pb.RUN_STATE_SUCCEEDED, run.message
    terms = {term.name: term for term in run.last_step.terms}
    assert terms["embedding_diversity"].measured == 12
    assert terms["embedding_diversity"].std > 0.0


class WithoutEmbeddings(GeneratorService):
    """A generator that gives no embeddings, and says so."""

    async def Describe(self, request, context):
        answer = await super().Describe(request, context)
        answer.embedding_dim = 0
        return answer


def test_a_generator_without_embeddings_is_told_of_before_the_first_step(lab, small_run, monkeypatch):
    monkeypatch.setattr("tests.integration.trainer_svc.conftest.GeneratorService", WithoutEmbeddings)
    small_run.reward_spec, small_run.evaluation.n = "paper", 0

    async def scenario(lab):
        run = await lab.run(small_run)
        assert run.state == pb.RUN_STATE_FAILED
        assert "gives no embeddings" in run.message
        assert lab.oracle.calls == 0

    lab(scenario)
