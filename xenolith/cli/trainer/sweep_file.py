"""The file of a sweep: which weights, which seeds, and the configuration that all its runs share."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xenolith.errors import InvalidArgumentError
from xenolith.explain import explain
from xenolith.files import read_toml

__all__ = ["SweepFile", "read_sweep"]


class SweepFile(BaseModel):
    """A sweep."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")
    """First part of the names of its runs."""
    seeds: tuple[int, ...] = Field(default=(0, 1), min_length=1)
    preset: str = "quickstart"
    """Configuration that all runs start from."""
    run: dict[str, Any] = {}
    """Fields of ``RunConfig`` that change it, for all runs."""
    weights: dict[str, tuple[float, ...]] = Field(min_length=1)
    """Weights to try of each term of the reward, by its name; every combination is a setting."""


def read_sweep(path: Path) -> SweepFile:
    """Read a file.

    Raises
    ------
    InvalidArgumentError
        A key or value is wrong; says which.
    """
    try:
        return SweepFile.model_validate(read_toml(path))
    except ValidationError as error:
        raise InvalidArgumentError(f"{path}: {explain(error, SweepFile)}") from error
