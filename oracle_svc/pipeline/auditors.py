"""Second calculators: they give an opinion on what the oracle scores, and never score.

An auditor has its own energies and its own hull; neither meets those of the scoring calculator. Its worker
processes start with the first audit: offering one costs nothing until it is asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError

from oracle_svc.cache.store import Kind
from oracle_svc.calculators import prepare_calculator
from oracle_svc.known.hull import Hull
from oracle_svc.known.reference.hull_folder import CalculatorHull, find_hull, hull_calculator, read_hull
from oracle_svc.pipeline.remote_auditor import RemoteAuditor, RemoteAuditorSpec
from oracle_svc.pools.calculator_pool import CalculatorPool
from xenolith.errors import FailedPreconditionError

__all__ = ["AnyAuditor", "Auditor", "AuditorSpec", "open_auditors", "specs_of"]


class AuditorSpec(BaseModel):
    """A second calculator, as the user names it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    calculator: str
    """Name for `open_calculator`."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Its settings."""
    hull: Path | None = None
    """Folder of its hull (`hull_build`) or of a reference built with it; None: the one built
    here or shipped, if any."""


def _kind(given: Any) -> str:
    """Which of the two an object of the setting is."""
    return "address" if isinstance(given, dict) and "address" in given else "calculator"


_Spec = Annotated[
    Annotated[AuditorSpec, Tag("calculator")] | Annotated[RemoteAuditorSpec, Tag("address")],
    Discriminator(_kind),
]


def specs_of(text: str) -> tuple[AuditorSpec | RemoteAuditorSpec, ...]:
    """Return the auditors of a setting: `none`, names separated by commas, or a JSON list of objects.

    A name with a colon is the address of an oracle.

    Raises
    ------
    ValueError
        It is neither.
    """
    if text.strip().startswith("["):
        try:
            return tuple(TypeAdapter(list[_Spec]).validate_python(json.loads(text)))
        except (ValueError, ValidationError) as error:
            raise ValueError(f"audit: {error}") from error
    names = [part.strip() for part in text.split(",")]
    return tuple(
        RemoteAuditorSpec(address=name) if ":" in name else AuditorSpec(calculator=name)
        for name in names
        if name and name != "none"
    )


class Auditor:
    """One second calculator; thread-safe.

    Parameters
    ----------
    spec
        Which.
    workers, atoms_per_batch, structure_limit_s
        As those of `CalculatorPool`.

    Raises
    ------
    BadReferenceError
        The hull is missing or damaged.
    WorkerError, FailedPreconditionError
        It has no hull that names it, and could not be started; or its hull is another calculator's.
    """

    def __init__(
        self, spec: AuditorSpec, *, workers: int, atoms_per_batch: int, structure_limit_s: float
    ) -> None:
        self._spec = spec
        self._options = {
            "workers": workers,
            "atoms_per_batch": atoms_per_batch,
            "structure_limit_s": structure_limit_s,
        }
        self._folder = spec.hull or find_hull(spec.calculator, spec.settings)
        self._pool: CalculatorPool | None = None
        self._read: CalculatorHull | None = None
        self._lock = Lock()
        if self._folder is not None:
            info = hull_calculator(self._folder)
            self.hull_id, self.id = str(info["hull_id"]), str(info["id"])
            self.version, self.scheme = str(info["version"]), str(info["scheme"])
            self.licence = str(info.get("licence", ""))
            self.elements = tuple(int(z) for z in info.get("elements", ()))
            self.settings_digest = str(info["settings_digest"])
        else:
            identity = self.pool().identity
            self.hull_id, self.id, self.version = "", identity.id, identity.version
            self.scheme, self.licence = identity.scheme, identity.licence
            self.elements = tuple(sorted(identity.elements))
            self.settings_digest = identity.settings_digest

    @property
    def energy_kind(self) -> Kind:
        """Its energies in the cache; an oracle that scores with it shares them."""
        return Kind(component="energy", digest=self.settings_digest)

    def pool(self) -> CalculatorPool:
        """Return its worker processes, started on first use.

        Raises
        ------
        WorkerError
            They could not be started.
        FailedPreconditionError
            They run another calculator than the hull was made with.
        """
        with self._lock:
            if self._pool is None:
                self._pool = self._started()
            return self._pool

    def hull(self) -> Hull | None:
        """Return its hull, read on first use; None if it has none."""
        if self._folder is None:
            return None
        with self._lock:
            if self._read is None:
                self._read = read_hull(self._folder)
            return self._read.hull

    def close(self) -> None:
        """End its processes."""
        with self._lock:
            if self._pool is not None:
                self._pool.close()

    def _started(self) -> CalculatorPool:
        pool = CalculatorPool(
            calculator=self._spec.calculator,
            settings=self._spec.settings,
            **self._options,  # type: ignore[arg-type]  # each is of its parameter's type
        )
        if self._folder is not None and pool.identity.settings_digest != self.settings_digest:
            pool.close()
            raise FailedPreconditionError(
                f"the hull in {self._folder} is of {self.id} ({self.settings_digest[:12]}), but this is "
                f"{pool.identity.id} ({pool.identity.settings_digest[:12]}): build its own hull "
                "(python -m oracle_svc.known.build.hulls), or audit without one"
            )
        return pool


AnyAuditor = Auditor | RemoteAuditor
"""A second calculator here, or one that another oracle runs."""


def open_auditors(
    text: str, *, workers: int = 1, atoms_per_batch: int = 256, structure_limit_s: float = 60.0
) -> tuple[AnyAuditor, ...]:
    """Open the auditors of a setting; see `specs_of`, `Auditor` and `RemoteAuditor`.

    Raises
    ------
    ValueError
        The setting cannot be read, or two auditors have one id.
    UnavailableError, FailedPreconditionError
        An auditor at an address does not answer, or cannot judge.
    """
    options: dict[str, Any] = {
        "workers": workers, "atoms_per_batch": atoms_per_batch, "structure_limit_s": structure_limit_s
    }  # fmt: skip
    specs = specs_of(text)
    for spec in specs:
        if isinstance(spec, AuditorSpec):
            prepare_calculator(spec.calculator, spec.settings)
    opened: list[AnyAuditor] = []
    try:
        opened.extend(_opened(spec, options) for spec in specs)
        _distinct(opened)
    except BaseException:
        for auditor in opened:
            auditor.close()
        raise
    return tuple(opened)


def _opened(spec: AuditorSpec | RemoteAuditorSpec, options: dict[str, Any]) -> AnyAuditor:
    return Auditor(spec, **options) if isinstance(spec, AuditorSpec) else RemoteAuditor(spec)


def _distinct(auditors: Sequence[AnyAuditor]) -> None:
    ids = [auditor.id for auditor in auditors]
    twice = [name for name in ids if ids.count(name) > 1]
    if twice:
        raise ValueError(f"audit: two calculators are called {twice[0]}")
