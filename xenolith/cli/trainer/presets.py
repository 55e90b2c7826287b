"""Configurations of runs that come with the commands."""

import tomllib
from importlib import resources
from typing import Any

from xenolith.errors import InvalidArgumentError

__all__ = ["preset", "preset_names"]

_ROOM = "xenolith.cli.trainer"


def preset_names() -> list[str]:
    """Name the presets."""
    files = resources.files(_ROOM).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def preset(name: str, algorithm: str | None = None) -> dict[str, Any]:
    """Return the fields of ``RunConfig`` that a preset sets.

    Parameters
    ----------
    algorithm
        What the run is to learn by, if not by the preset's own. The preset's ``kl_weight`` is left out then:
        what the distance to the base policy should weigh depends on the loss beside it.

    Raises
    ------
    InvalidArgumentError
        There is none of this name; says which there are.
    """
    if name not in preset_names():
        raise InvalidArgumentError(f"there is no preset {name!r}: there are {', '.join(preset_names())}")
    config = tomllib.loads(resources.files(_ROOM).joinpath(f"{name}.toml").read_text())
    if algorithm not in (None, config["algorithm"]):
        config["optimizer"].pop("kl_weight")
    return config
