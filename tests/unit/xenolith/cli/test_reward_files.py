"""A reward file of the user's is written as the shipped ones are."""

from pathlib import Path

import pytest

import trainer_svc.rewards
from trainer_svc.config.messages import config_from_proto
from trainer_svc.rewards.spec import builtin_specs, load_spec
from xenolith.cli.trainer.train import reward_fields
from xenolith.client.trainer_calls import run_config

SHIPPED = Path(trainer_svc.rewards.__file__).parent


@pytest.mark.parametrize("name", builtin_specs())
def test_a_copy_of_a_shipped_spec_is_the_same_reward(name: str) -> None:
    message = run_config({"name": "copy"}, **reward_fields(str(SHIPPED / f"{name}.toml")))
    told = {"name", "description"}
    assert config_from_proto(message).reward.model_dump(exclude=told) == load_spec(name).model_dump(
        exclude=told
    )


def test_conjunction_and_elements_of_a_file_count(tmp_path: Path) -> None:
    text = (SHIPPED / "discovery.toml").read_text().replace('combine = "sum"', 'combine = "conjunction"')
    (tmp_path / "mine.toml").write_text(f'{text}\n[elements]\navoid = ["radioactive"]\n')
    reward = config_from_proto(
        run_config({"name": "mine"}, **reward_fields(str(tmp_path / "mine.toml")))
    ).reward
    assert reward.combine == "conjunction"
    assert reward.elements.avoid == ("radioactive",)
