"""Reward specs: TOML files that say what a structure is worth. Unknown keys are refused."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from trainer_svc.errors import ConfigError
from trainer_svc.rewards.measurements import EMBEDDING_DIVERSITY
from trainer_svc.rewards.transforms import Transform
from xenolith.elements import atomic_numbers
from xenolith.explain import explain

__all__ = [
    "Combine",
    "CreativitySpec",
    "ElementSpec",
    "Normalization",
    "RewardSpec",
    "RewardTerm",
    "builtin_specs",
    "load_spec",
    "ships",
]

Normalization = Literal["none", "group_standard", "group_min_max", "step_standard", "step_min_max"]
Combine = Literal["sum", "conjunction"]

_ALIASES = {"band_gap": "band_gap_3ev"}
"""Earlier names of specs that ship."""


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
    memory: float = Field(default=0.0, ge=0.0)
    """The credit is divided by ``1 + memory * n``, n being the valid crystals of this formula that earlier
    steps of the run made: uniqueness among thousands is lost across steps, not inside one."""


class ElementSpec(_Model):
    """Elements that a crystal should not hold, or should."""

    avoid: tuple[str, ...] = ()
    """Symbols, ``radioactive`` or ``f-block``; a crystal that holds one loses ``weight``."""
    favour: tuple[str, ...] = ()
    """As above; a crystal gains ``weight`` times the share of its atoms that are of these."""
    weight: float = Field(default=1.0, gt=0.0)

    @field_validator("avoid", "favour")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        atomic_numbers(value)
        return value


class RewardTerm(_Model):
    """One term of the weighted sum: ``weight * normalise(transform(metric))``."""

    name: str = ""
    """For events and reports; the metric's own name when empty."""
    metric: str = Field(min_length=1)
    """A scalar that the oracle reports, ``properties.<name>``, or what the trainer derives: ``creativity``,
    and ``embedding_diversity`` of the generator's embeddings."""
    weight: float = 1.0
    """0 logs the term without using it."""
    transform: Transform = Field(default_factory=Transform)
    normalization: Normalization = "group_standard"
    failed_value: float | None = None
    """Transformed value of a valid structure that lacks the metric; absent: the term does not touch it."""
    caution: float = Field(default=0.0, ge=0.0)
    """The value is the metric plus this times ``committee_spread``: where judges part, a structure counts as
    less stable. For energies above the hull alone."""
    gate: str = ""
    """Name of the term whose transformed value, clipped to [0, 1], multiplies this one in a conjunction."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: object) -> object:
        return (
            {**data, "name": data.get("name") or data.get("metric", "")} if isinstance(data, dict) else data
        )

    @model_validator(mode="after")
    def _cautious_of_energies(self) -> "RewardTerm":
        if self.caution and not self.metric.endswith("e_above_hull"):
            raise ValueError(
                f"caution is for energies above the hull, not for {self.metric}: leave it out, or value"
                " e_above_hull or committee_e_above_hull"
            )
        return self


class RewardSpec(_Model):
    """A complete reward."""

    name: str = Field(default="custom", pattern=r"^[a-z0-9][a-z0-9_-]*$")
    description: str = ""
    invalid_reward: float | None = None
    """Reward of a structure that fails the validity gate; absent: the worst reward of a valid one."""
    suspicious_below: float = Field(default=0.5, gt=0.0)
    """An energy further below the hull than this (eV/atom) is an artefact: the floor is earned."""
    creativity: CreativitySpec = Field(default_factory=CreativitySpec)
    combine: Combine = "sum"
    """``sum`` adds the terms as they are; in a ``conjunction`` a term with a gate counts as far as its gate
    says: a sum of stability and creativity also pays for a metastable crystal that everybody knows."""
    elements: ElementSpec = Field(default_factory=ElementSpec)
    terms: tuple[RewardTerm, ...] = Field(min_length=1)

    @property
    def needs_embeddings(self) -> bool:
        """Whether a term values the generator's embeddings."""
        return any(term.metric == EMBEDDING_DIVERSITY for term in self.terms)

    @model_validator(mode="after")
    def _distinct_names(self) -> "RewardSpec":
        names = [term.name for term in self.terms]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two terms are named {twice[0]!r}; give each its own name")
        return self

    @model_validator(mode="after")
    def _gates(self) -> "RewardSpec":
        by_name = {term.name: term for term in self.terms}
        for term in self.terms:
            if not term.gate:
                continue
            if term.gate not in by_name or by_name[term.gate].gate or term.gate == term.name:
                raise ValueError(
                    f"term {term.name!r}: gate {term.gate!r} must name another term without a gate"
                )
            if not term.transform.never_negative:
                # A penalty times a gate of 0 would be the best there is.
                raise ValueError(f"term {term.name!r}: a gated term needs a decay, sigmoid or threshold")
        return self


def builtin_specs() -> tuple[str, ...]:
    """Name the specs that ship with the trainer."""
    files = resources.files("trainer_svc.rewards").iterdir()
    return tuple(sorted(file.name[:-5] for file in files if file.name.endswith(".toml")))


def ships(name: str) -> bool:
    """Whether a spec of this name, or of this earlier name, ships with the trainer."""
    return _ALIASES.get(name, name) in builtin_specs()


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
    source = _ALIASES.get(source, source) if isinstance(source, str) else source
    if isinstance(source, str) and source in builtin_specs():
        return resources.files("trainer_svc.rewards").joinpath(f"{source}.toml").read_text("utf-8"), source
    if isinstance(source, str) and "\n" in source:
        return source, "(inline)"
    path = Path(source)
    if not path.is_file():
        known = ", ".join(builtin_specs())
        raise ConfigError(f"no reward spec {str(source)!r}: give the path of a TOML file or one of: {known}")
    return path.read_text("utf-8"), str(path)
