"""Run configuration: defaults, refusals, and the way over the wire and back."""

import tomllib
from importlib import resources
from pathlib import Path

import pytest

from trainer_svc.config.messages import config_from_proto, config_to_proto
from trainer_svc.config.run_config import validate_config
from trainer_svc.errors import ConfigError
from xenolith.client import run_config
from xenolith.files import read_toml
from xenolith.v1 import trainer_pb2


def test_an_empty_configuration_gets_defaults():
    config = config_from_proto(trainer_pb2.RunConfig(name="a"))
    assert config.reward.name == "discovery"
    assert config.sampler.eta == 1.0
    assert config.seed == 0


def test_every_default_survives_the_wire():
    config = validate_config({"name": "a"})
    back = config_from_proto(config_to_proto(config))
    assert back.model_copy(update={"reward": config.reward}) == config
    assert back.reward.terms == config.reward.terms
    assert back.reward.invalid_reward == config.reward.invalid_reward


def test_values_survive_the_wire():
    message = trainer_pb2.RunConfig(
        name="b", seed=2**63 + 5, steps=7, score_settings={"calculator_id": "mace"}
    )
    message.reward_terms.add(
        metric="properties.band_gap",
        weight=2.0,
        transform={"target": {"target": 3.0}},
        normalization=trainer_pb2.REWARD_NORMALIZATION_STEP_MIN_MAX,
    )
    message.evaluation.seeds.append(3)
    message.evaluation.finishing.steps = 0
    config = config_from_proto(message)
    assert config.seed == 2**63 + 5
    assert config.reward.terms[0].transform.target.target == 3.0
    assert config.reward.terms[0].normalization == "step_min_max"
    assert config.evaluation.seeds == (3,)
    assert config.evaluation.finishing is not None
    assert (config.evaluation.finishing.steps, config.evaluation.finishing.noise) == (0, None)
    assert config_to_proto(config).evaluation.finishing.HasField("steps")
    assert config_to_proto(config).score_settings.calculator_id == "mace"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "name"),
        ('name = "../x"', "name"),
        ('name = "a"\nstepps = 3', "stepps"),
        ('name = "a"\nsteps = 0', "steps"),
        ('name = "a"\ngroup_size = 1', "group_size"),
        ('name = "a"\n[sampler]\neta = 0.0', "eta must be above 0"),
        ('name = "a"\nmax_staleness = 1', "max_staleness: .*needs an algorithm on the forward process"),
        (
            'name = "a"\nalgorithm = "awm"\nmax_staleness = 1\ncheckpoint_every = 2',
            "needs checkpoint_every 1",
        ),
        ('name = "a"\nalgorithm = "awm"\nmax_staleness = 1\n[hold]\nratio_clip = 0.1', "hold.ratio_clip"),
        ('name = "a"\n[optimizer]\nema_decay = 0.9', r"optimizer\.ema_decay: .* leave it at 0, not 0\.9"),
        ('name = "a"\nadapter_rank = 4\nadapter_targets = ["heads"]', "attention, mlp, modulation"),
        ('name = "a"\nadapter_alpha = 4.0', "need adapter_rank"),
        ('name = "a"\n[optimizer]\nlearning_rate = nan', "learning_rate"),
        ('name = "a"\nreward = "nothing"', "discovery"),
    ],
)
def test_bad_configurations_are_refused_with_the_key_named(text, message):
    with pytest.raises(ConfigError, match=message):
        validate_config(tomllib.loads(text))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"max_staleness": 2}, "config.max_staleness"),
        ({"optimizer": {"ema_decay": 0.99}}, "config.optimizer.ema_decay"),
        ({"atom_counts": {"choices": [3, "x"]}}, "config.atom_counts.choices[1]"),
    ],
)
def test_what_is_refused_is_named_as_a_field_of_the_request(fields, field):
    with pytest.raises(ConfigError) as caught:
        validate_config({"name": "a", **fields})
    (violation,) = caught.value.violations
    assert violation.field == field
    assert violation.description in str(caught.value)


def test_fields_of_the_reward_are_named_as_they_were_sent():
    message = trainer_pb2.RunConfig(name="a")
    message.reward_terms.add(metric="e_above_hull")
    message.reward_terms.add(metric="e_above_hull", transform={"clamp": {"low": 1.0, "high": 0.0}})
    with pytest.raises(ConfigError) as caught:
        config_from_proto(message)
    (violation,) = caught.value.violations
    assert violation.field.startswith("config.reward_terms[1].transform.clamp")


def test_zero_is_what_an_unserved_field_may_say():
    message = trainer_pb2.RunConfig(name="a", max_staleness=0, optimizer={"ema_decay": 0.0})
    assert config_from_proto(message).max_staleness == 0


def test_a_floor_without_terms_is_refused():
    with pytest.raises(ConfigError, match="reward_terms"):
        config_from_proto(trainer_pb2.RunConfig(name="a", invalid_reward=-1.0))


def test_the_example_of_an_adapter_run_is_read():
    path = Path(__file__).resolve().parents[4] / "examples" / "train" / "adapter.toml"
    config = validate_config(read_toml(path))
    assert config.adapter.rank == 16
    assert config.adapter.alpha == 32.0


@pytest.mark.parametrize(("preset", "algorithm"), [("quickstart", "awm"), ("quickstart-grpo", "grpo")])
def test_the_quickstarts_own_configurations_are_taken(preset, algorithm):
    text = resources.files("xenolith.cli.trainer").joinpath(f"{preset}.toml").read_text()
    config = config_from_proto(run_config(tomllib.loads(text)))
    assert config.algorithm == algorithm
    assert config.evaluation.atom_counts.max == 20


def test_creativity_changes_a_shipped_reward_and_leaves_the_rest_of_it():
    message = trainer_pb2.RunConfig(name="a", reward_combine="conjunction")
    message.creativity.memory = 0.25
    plain = config_from_proto(trainer_pb2.RunConfig(name="a")).reward
    changed = config_from_proto(message).reward
    assert changed.creativity == plain.creativity.model_copy(update={"memory": 0.25})
    assert changed.combine == "conjunction"
    assert changed.terms == plain.terms


def test_creativity_that_makes_no_sense_is_named_as_it_was_sent():
    message = trainer_pb2.RunConfig(name="a")
    message.creativity.memory = -1.0
    with pytest.raises(ConfigError) as caught:
        config_from_proto(message)
    assert [violation.field for violation in caught.value.violations] == ["config.creativity.memory"]
