"""Run configuration from and to its contract message."""

from typing import Any

from google.protobuf import json_format

from trainer_svc.config import RunConfig, validate_config
from trainer_svc.errors import ConfigError
from xenolith.v1 import trainer_pb2

__all__ = ["config_from_proto", "config_to_proto"]

_NORMALIZATION = "REWARD_NORMALIZATION_"


def config_from_proto(message: trainer_pb2.RunConfig) -> RunConfig:
    """Check a configuration and fill what it leaves unset.

    Raises
    ------
    ConfigError
        Naming every field that is wrong.
    """
    document: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    terms = [_term(term) for term in document.pop("reward_terms", [])]
    floor = document.pop("invalid_reward", None)
    if terms:
        document["reward"] = {"terms": terms} | ({} if floor is None else {"invalid_reward": floor})
    elif floor is not None:
        raise ConfigError("run configuration: invalid_reward needs reward_terms; give both or neither")
    return validate_config(document)


def config_to_proto(config: RunConfig) -> trainer_pb2.RunConfig:
    """Give the resolved configuration as a message."""
    document = config.model_dump(mode="json", exclude_none=True)
    reward = document.pop("reward")
    if "invalid_reward" in reward:
        document["invalid_reward"] = reward["invalid_reward"]
    document["reward_terms"] = [
        {**term, "normalization": _NORMALIZATION + term["normalization"].upper()} for term in reward["terms"]
    ]
    return json_format.ParseDict(document, trainer_pb2.RunConfig())


def _term(term: dict[str, Any]) -> dict[str, Any]:
    # The metric itself tells which component measures it.
    term.pop("component", None)
    if "normalization" in term:
        term["normalization"] = term["normalization"].removeprefix(_NORMALIZATION).lower()
    return term
