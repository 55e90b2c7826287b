"""Reward specs: TOML files that say what a structure is worth. Unknown keys are refused."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from trainer_svc.errors import ConfigError
from trainer_svc.rewards.transforms import Identity, Transform

__all__ = ["CreativitySpec", "RewardSpec", "StabilitySpec", "TermSpec", "builtin_specs", "load_spec"]

Normalisation = Literal["none", "group", "batch"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CreativitySpec(_Model):
    """How uniqueness and novelty become the creativity field, in [0, 1]."""

    partial: float = Field(default=0.5, ge=0.0, lt=1.0)
    """Upper bound for structures that are not novel; less than the 1 of a creative one."""
    scale: float = Field(default=0.5, gt=0.0)
    """AMD distance (Angstrom) at which half of ``partial`` is earned."""
    share_duplicates: bool = True
    """Copies in a batch share one credit; otherwise the first keeps it and the others earn nothing."""


class StabilitySpec(_Model):
    """How e_above_hull becomes the stability field (its negative, eV/atom)."""

    suspicious_below: float = Field(default=0.5, gt=0.0)
    """Energies further below the hull than this (eV/atom) count as artefacts and earn the floor."""


class TermSpec(_Model):
    """One term of the weighted sum."""

    field: str
    """``creativity``, ``stability``, or any field that the oracle reports."""
    weight: float = 1.0
    transform: Transform = Field(default_factory=Identity)
    normalise: Normalisation = "none"
    """Standardise (subtract the mean, divide by the deviation) inside the group or batch before weighting."""
    floor: float | Literal["worst"] = "worst"
    """Transformed value of a structure that failed or lacks the field; ``worst``: the batch's lowest."""


class RewardSpec(_Model):
    """A complete reward."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    description: str = ""
    creativity: CreativitySpec = Field(default_factory=CreativitySpec)
    stability: StabilitySpec = Field(default_factory=StabilitySpec)
    terms: tuple[TermSpec, ...] = Field(min_length=1)

    @field_validator("terms")
    @classmethod
    def _unique_terms(cls, terms: tuple[TermSpec, ...]) -> tuple[TermSpec, ...]:
        keys = [(term.field, term.transform) for term in terms]
        if len(set(keys)) != len(keys):
            raise ValueError("two terms have the same field and transform; add their weights instead")
        return terms

    @property
    def labels(self) -> tuple[str, ...]:
        """One distinct label per term: its field, with the transform's kind where a field occurs twice."""
        fields = [term.field for term in self.terms]
        labels = [
            term.field if fields.count(term.field) == 1 else f"{term.field}:{term.transform.kind}"
            for term in self.terms
        ]
        return tuple(
            label if labels.count(label) == 1 else f"{label}#{index}" for index, label in enumerate(labels)
        )


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
        raise ConfigError(f"reward spec {origin}: {_explain(error)}") from error


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


def _explain(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'spec'}: {item['msg']}" for item in error.errors()
    )
