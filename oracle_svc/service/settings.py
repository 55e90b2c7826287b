"""Settings of the oracle process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, Json
from pydantic_settings import SettingsConfigDict

from oracle_svc.crystals.amd_engines import AmdEngineName
from xenolith.bundle import DEFAULT_BUNDLE
from xenolith.serving import ProcessSettings, StackVariable, usable_cores

__all__ = ["OracleSettings"]


def _default_cache() -> str:
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return f"sqlite:///{folder}/xenolith/oracle.db"


def _default_state() -> str:
    folder = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return f"{folder}/xenolith/oracle"


class OracleSettings(ProcessSettings):
    """Settings of the oracle service: calculators, references, cache and limits."""

    model_config = SettingsConfigDict(env_prefix="XENOLITH_ORACLE_")

    reference: Annotated[str, StackVariable("XENOLITH_BUNDLE")] = Field(
        DEFAULT_BUNDLE,
        description="folder of a reference, name or folder of a bundle that has one, or none; several,"
        " comma-separated, are chosen by requests through reference_id, the first being the default",
    )
    calculator: str = Field(
        "chgnet", description="calculator of energies: chgnet, mace, ase, or a plug-in's name"
    )
    calculator_settings: Json[dict[str, Any]] = Field(
        default_factory=dict, description="its settings, as a JSON object"
    )
    device: str = Field(
        "", description="torch device of a calculator that takes one: cpu, cuda:0; default: its own"
    )
    hull: str = Field(
        "auto",
        description="hull of the calculator: a folder; auto: the reference's where that serves this"
        " calculator, else the calculator's own, built here or shipped; any: the same, and energies alone"
        " without one; none: energies alone",
    )
    cache: Annotated[str, StackVariable("XENOLITH_CACHE")] = Field(
        default_factory=_default_cache,
        description="sqlite:///FILE, redis://HOST:PORT/DB, or none",
    )
    cache_max_mb: int = Field(1024, ge=1, description="size limit of an sqlite cache, MiB")
    cache_ttl_days: float = Field(30.0, gt=0, description="life of an entry in Redis, days")
    state: str = Field(
        default_factory=_default_state,
        description="folder of operations and jobs, which survive the process; none: serve no operations",
    )
    operations_at_once: int = Field(2, ge=1, description="operations worked on side by side")
    max_operations: int = Field(256, ge=1, description="most unfinished operations; more are refused")
    retention_days: float = Field(
        7.0, gt=0, description="days for which the result of an operation is kept, unless its request says"
    )
    workers: int = Field(
        default_factory=usable_cores,
        ge=1,
        description="calculator processes; default: one per core",
    )
    worker_threads: int = Field(1, ge=1, description="threads of each calculator process")
    atoms_per_batch: int = Field(256, ge=1, description="atoms handed to a calculator process at a time")
    structure_limit_s: float | None = Field(
        None,
        gt=0,
        description="seconds the calculator may take for a structure; default: 60, or 14400 for jobs",
    )
    relaxation_limit_s: float | None = Field(
        None, gt=0, description="the same for its relaxation; default: 600, or 14400 for jobs"
    )
    jobs: str = Field(
        "auto",
        description="what runs a structure: none (worker processes), local or slurm (jobs), or a plug-in's"
        " name; auto: local for DFT, none for the rest",
    )
    job_options: Json[dict[str, Any]] = Field(
        default_factory=dict, description="options of it, as a JSON object; see docs/dft.md"
    )
    matcher_workers: int = Field(
        1, ge=1, description="StructureMatcher processes; they start when first needed"
    )
    matcher_limit_s: float = Field(5.0, gt=0, description="seconds StructureMatcher may take for a pair")
    amd_engine: AmdEngineName = Field(
        "native",
        description="what computes AMD vectors: native, or package (average-minimum-distance, not for "
        "commercial use)",
    )
    audit: str = Field(
        "chgnet-r2scan",
        description="second calculators for audits: none, names or addresses (HOST:PORT) of other oracles "
        "separated by commas, or a JSON list of {calculator, settings, hull} and {address, token_file, tls, "
        "tls_ca, tls_cert, tls_key, wait_s}; an address is checked at the start",
    )
    properties: str = Field(
        "all",
        description="properties to offer, comma-separated: all, none, names, .py files, .json files of "
        "trained predictors",
    )
    property_workers: int = Field(1, ge=1, description="processes of properties that do not ship")
    property_limit_s: float = Field(10.0, gt=0, description="seconds they may take for a structure")
    threads: int = Field(4, ge=1, description="batches scored side by side")
    merge_most: int = Field(
        64, ge=1, description="most calls of one structure scored in a common batch; 1: each by itself"
    )
    merge_window_ms: float = Field(
        4.0,
        ge=0,
        description="milliseconds for which such a call waits for others while a batch is at work or has just"
        " ended; when none is, it goes at once",
    )
    merge_patience_s: float = Field(
        10.0, gt=0, description="seconds after which a common batch is given up, and its calls scored alone"
    )
    max_atoms: int = Field(512, ge=1, description="most atoms in a structure; larger ones are TOO_LARGE")
    max_known: int = Field(
        20_000, ge=0, description="most structures that a request may give as known beside the reference's"
    )
    max_relax_steps: int = Field(5_000, ge=1, description="most steps that a request may ask of a relaxation")
    max_retention_days: float = Field(
        90.0, gt=0, description="most days for which a request may have its operation's result kept"
    )
    max_batch: int = Field(4096, ge=1, description="most structures in a request")
    min_distance: float = Field(0.5, gt=0, description="smallest distance between two atoms, Angstrom")
