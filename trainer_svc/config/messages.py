"""Run configuration from and to its contract message."""

import re
from dataclasses import replace
from typing import Any

from google.protobuf import json_format

from trainer_svc.config.run_config import RunConfig, validate_config
from trainer_svc.errors import ConfigError
from trainer_svc.rewards.spec import builtin_specs, load_spec, ships
from xenolith.errors import FieldViolation
from xenolith.v1 import trainer_pb2

__all__ = ["config_from_proto", "config_to_proto"]

_NORMALIZATION = "REWARD_NORMALIZATION_"
_BESIDE_TERMS = ("invalid_reward", "suspicious_below")
_OF_ANY_SPEC = {"reward_combine": "combine", "elements": "elements", "creativity": "creativity"}
"""Fields that change a spec, whether it is sent or shipped, with their names in it."""


def config_from_proto(message: trainer_pb2.RunConfig) -> RunConfig:
    """Check a configuration and fill what it leaves unset.

    Raises
    ------
    ConfigError
        Naming every field that is wrong.
    """
    document: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    terms = [_term(term) for term in document.pop("reward_terms", [])]
    beside = {key: document.pop(key) for key in _BESIDE_TERMS if key in document}
    spec = document.pop("reward_spec", "")
    changes = {own: document.pop(field) for field, own in _OF_ANY_SPEC.items() if field in document}
    if terms:
        document["reward"] = {"terms": terms} | ({"name": spec} if spec else {}) | beside
    elif beside:
        raise ConfigError(f"run configuration: {min(beside)} needs reward_terms; give both or neither")
    elif spec:
        document["reward"] = _shipped(spec)
    if changes:
        reward = document.get("reward") or "discovery"
        table = load_spec(reward).model_dump(exclude_none=True) if isinstance(reward, str) else reward
        document["reward"] = {**table, **changes, **_creativity(table, changes)}
    try:
        return validate_config(document)
    except ConfigError as error:
        raise ConfigError(error.message, violations=[_as_sent(v) for v in error.violations]) from error


def _as_sent(violation: FieldViolation) -> FieldViolation:
    # A document holds the reward in one table, the message beside the other fields.
    field = re.sub(r"^config\.reward\.terms", "config.reward_terms", violation.field)
    field = re.sub(r"^config\.reward\.combine", "config.reward_combine", field)
    return replace(violation, field=re.sub(r"^config\.reward\.", "config.", field))


def _creativity(table: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    # What is unset is as the spec says, so that a shipped one can be given a memory alone.
    given = changes.get("creativity")
    return {} if given is None else {"creativity": table.get("creativity", {}) | given}


def _shipped(spec: str) -> str:
    # By name alone: a caller has no business with the files of this machine.
    if not ships(spec):
        known = ", ".join(builtin_specs())
        raise ConfigError(f"run configuration: no reward spec {spec!r}; there are {known}")
    return spec


def config_to_proto(config: RunConfig) -> trainer_pb2.RunConfig:
    """Give the resolved configuration as a message."""
    document = config.model_dump(mode="json", exclude_none=True)
    reward = document.pop("reward")
    document |= {key: reward[key] for key in _BESIDE_TERMS if key in reward}
    document |= {field: reward[own] for field, own in _OF_ANY_SPEC.items()}
    document["reward_spec"] = reward["name"]
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
