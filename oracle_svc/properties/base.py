"""The interface of every property, and how a plain function becomes one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from oracle_svc.calculators.base import digest_of
from xenolith.crystal import Crystal, CrystalBatch

__all__ = ["FunctionProperty", "Property", "crystal_property"]


@runtime_checkable
class Property(Protocol):
    """Predicts one number for each crystal of a batch.

    The crystals have passed the validity gate and come in a primitive cell, whatever cell they were sent in.
    """

    @property
    def name(self) -> str:
        """Name in requests, results and rewards, such as `band_gap`."""
        ...

    @property
    def unit(self) -> str:
        """Unit, such as `eV`; empty for a pure number."""
        ...

    @property
    def description(self) -> str:
        """The property and the predictor that gives it, in a sentence."""
        ...

    @property
    def licence(self) -> str:
        """Licence of predictor and training data; empty if there is nothing to say."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of everything that changes its values; values are kept under it."""
        ...

    @property
    def embeddings_of(self) -> str:
        """`settings_digest` of the calculator whose embeddings it reads; empty if it reads none."""
        ...

    def predict(self, crystals: CrystalBatch, embeddings: NDArray[np.float32] | None) -> NDArray[np.float64]:
        """Return (B,) float64 values, NaN where it has none.

        Parameters
        ----------
        crystals
            (B,) crystals.
        embeddings
            (B, D) float32 embeddings if `embeddings_of` names a calculator, else None.
        """
        ...


class FunctionProperty:
    """A function of one crystal as a property.

    Parameters
    ----------
    function
        Takes a `Crystal` and returns a number. What it raises fails that structure alone.
    name, unit, description, licence
        As in `Property`.
    version
        Change it when the function's result changes for a reason that is not in its file, such as another
        library: kept values are then computed anew. A change of the file is seen without it.
    """

    embeddings_of = ""

    def __init__(
        self,
        function: Callable[[Crystal], float],
        *,
        name: str,
        unit: str = "",
        description: str = "",
        licence: str = "",
        version: str = "1",
    ) -> None:
        self.name, self.unit, self.description, self.licence = name, unit, description, licence
        self._function = function
        source = inspect.getsourcefile(function)
        text = Path(source).read_text("utf-8") if source and Path(source).is_file() else ""
        self.digest = digest_of({"property": name, "version": version, "source": text})

    def predict(self, crystals: CrystalBatch, embeddings: NDArray[np.float32] | None) -> NDArray[np.float64]:
        """Return the function's value of each crystal; raises what it raises."""
        return np.array([float(self._function(crystal)) for crystal in crystals], dtype=np.float64)


def crystal_property(
    *, unit: str = "", name: str = "", description: str = "", licence: str = "", version: str = "1"
) -> Callable[[Callable[[Crystal], float]], FunctionProperty]:
    """Make a property of the function below; name and description are the function's own if not given."""

    def make(function: Callable[[Crystal], float]) -> FunctionProperty:
        told = " ".join((inspect.getdoc(function) or "").split())
        return FunctionProperty(
            function,
            name=name or function.__name__,
            unit=unit,
            description=description or told,
            licence=licence,
            version=version,
        )

    return make
