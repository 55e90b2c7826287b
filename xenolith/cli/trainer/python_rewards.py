"""Rewards that a user writes in Python: functions of a crystal, which the oracle calls.

Each function under ``@crystal_property()`` of the file is a property of the oracle that is started for the
run, and a term of the reward. They run where other properties do: in processes of their own, with a time
limit, and what they raise costs a value and no run.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from xenolith.cli.services import addresses_of
from xenolith.errors import InvalidArgumentError, NotFoundError
from xenolith.optional import require

__all__ = ["is_python_reward", "python_reward_terms", "reward_environment"]

_VARIABLE = "XENOLITH_ORACLE_PROPERTIES"


def is_python_reward(reward: str | None) -> bool:
    """Whether a reward is a Python file."""
    return reward is not None and Path(reward).suffix == ".py"


def python_reward_terms(file: Path) -> list[dict[str, Any]]:
    """Return a term of the reward for each function of a file, which is run for it; its values are unscaled.

    Raises
    ------
    NotFoundError
        There is no such file.
    InvalidArgumentError
        It defines no such function.
    """
    if not file.is_file():
        raise NotFoundError(f"there is no reward file {file}")
    registry: Any = require("oracle_svc.properties.registry", "oracle")
    try:
        found = registry.open_source(str(file.resolve()))
    except ValueError as error:
        raise InvalidArgumentError(f"--reward {error}") from error
    return [
        {
            "name": item.name,
            "metric": f"properties.{item.name}",
            "weight": 1.0,
            "normalization": "REWARD_NORMALIZATION_NONE",
        }
        for item in found
    ]


def reward_environment(given: argparse.Namespace) -> dict[str, str]:
    """Return the variables of an oracle started here, so that it offers what the reward's file defines.

    Raises
    ------
    InvalidArgumentError
        The oracle runs elsewhere: nobody sends it code.
    """
    if not is_python_reward(given.reward):
        return {}
    if {"oracle", "trainer"} & set(addresses_of(given)):
        raise InvalidArgumentError(
            f"--reward {given.reward}: an oracle that runs elsewhere takes no code from here; start it with"
            f" --properties all,{given.reward}, and name its properties in a TOML file (properties.NAME)"
        )
    offered = os.environ.get(_VARIABLE, "all")
    return {_VARIABLE: f"{offered},{Path(given.reward).resolve()}"}
