"""Reward specs: TOML files that say what a structure is worth. Unknown keys are refused."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trainer_svc.errors import ConfigError
from trainer_svc.rewards.transforms import Transform
from xenolith.explain import explain

__all__ = [
    "CreativitySpec",
    "Normalization",
    "RewardSpec",
    "RewardTerm",
    "builtin_specs",
    "load_spec",
]

Normalization = Literal["none", "group_standard", "group_min_max", "step_standard", "step_min_max"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CreativitySpec(_Model):
    """How uniqueness and novelty become the metric ``creativity``, in [0, 1]."""

    partial: float = Field(default=0.5, ge=0.0, lt=1.0)
    """Upper bound for structures that are not novel; less than the 1 of a creative one."""
    scale: float = Field(default=0.5, gt=0.0)
    """AMD distance (Angstrom) at which half of ``partial`` is earned."""
    share_duplicates: bool = True
    """Copies in a batch share one credit; otherwise the first keeps it and the others earn nothing."""


class RewardTerm(_Model):
    """One term of the weighted sum: ``weight * normalise(transform(metric))``."""

    name: str = ""
    """For events and reports; the metric's own name when empty."""
    metric: str = Field(min_length=1)
    """A scalar that the oracle reports, ``properties.<name>``, or ``creativity``."""
    weight: float = 1.0
    """0 logs the term without using it."""
    transform: Transform = Field(default_factory=Transform)
    normalization: Normalization = "group_standard"
    failed_value: float | None = None
    """Transformed value of a valid structure that lacks the metric; absent: the term does not touch it."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: object) -> object:
        return (
            {**data, "name": data.get("name") or data.get("metric", "")} if isinstance(data, dict) else data
        )


class RewardSpec(_Model):
    """A complete reward."""

    name: str = Field(default="custom", pattern=r"^[a-z0-9][a-z0-9_-]*$")
    description: str = ""
    invalid_reward: float | None = None
    """Reward of a structure that fails the validity gate; absent: the worst reward of a valid one."""
    suspicious_below: float = Field(default=0.5, gt=0.0)
    """An energy further below the hull than this (eV/atom) is an artefact: the floor is earned."""
    creativity: CreativitySpec = Field(default_factory=CreativitySpec)
    terms: tuple[RewardTerm, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct_names(self) -> "RewardSpec":
        names = [term.name for term in self.terms]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two terms are named {twice[0]!r}; give each its own name")
        return self


def builtin_specs() -> tuple[str, ...]:
    """Name the specs that ship with the trainer."""
    files = resources.files("trainer_svc.rewards").iterdir()
    return tuple(sorted(file.name[:-5] for file in files if file.name.endswith(".toml")))


def load_spec(source: str | Path) -> RewardSpec:
    """Load a reward spec.

    Parameters
    ----------
    source
        Name of a shipped spec (``discovery``), path of a TOML file, or TOML text itself.

    Raises
    ------
    ConfigError
        Unknown name, unreadable file, bad TOML, or a key or value that the spec does not know.
    """
    text, origin = _read(source)
    try:
        return RewardSpec.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"reward spec {origin} is not TOML: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"reward spec {origin}: {explain(error)}") from error


def _read(source: str | Path) -> tuple[str, str]:
    if isinstance(source, str) and source in builtin_specs():
        return resources.files("trainer_svc.rewards").joinpath(f"{source}.toml").read_text("utf-8"), source
    if isinstance(source, str) and "\n" in source:
        return source, "(inline)"
    path = Path(source)
    if not path.is_file():
        known = ", ".join(builtin_specs())
        raise ConfigError(f"no reward spec {str(source)!r}: give the path of a TOML file or one of: {known}")
    return path.read_text("utf-8"), str(path)
