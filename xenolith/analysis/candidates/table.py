"""Chosen structures as rows, and where each number of a row comes from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xenolith.analysis.candidates.examined import Examined
from xenolith.client.results import Provenance
from xenolith.contract.columns import COLUMNS
from xenolith.elements import SYMBOLS

__all__ = ["SourceOfColumn", "rows_of", "sources_of"]

_GIVEN = ("e_above_hull",)
_RELAXATION = (
    ("rmsd", "Angstrom"), ("volume_ratio", ""), ("max_force", "eV/Angstrom"), ("steps", ""),
)  # fmt: skip
_RELAXED = (
    "energy_per_atom",
    "formation_energy_per_atom",
    "e_above_hull",
    "charge_neutral",
    "min_distance",
    "density",
    "volume_per_atom",
)


@dataclass(frozen=True, kw_only=True)
class SourceOfColumn:
    """Where the values of one column come from."""

    column: str
    """Its name in the table."""
    unit: str
    """Empty for pure numbers, truths and names."""
    source: str
    """Field of the oracle's answer, file or method that gives it."""
    made_by: str
    """Calculator, hull, reference or program that gives it, by its id."""


def name_of(rank: int, one: Examined) -> str:
    """Return the name of a chosen structure's files, such as ``03-Na3Bi``."""
    plain = "".join(letter for letter in one.relaxed.formula if letter.isalnum())
    return f"{rank:02d}-{plain}"


def rows_of(chosen: Sequence[Examined]) -> list[dict[str, Any]]:
    """Return one flat row for each chosen structure, all of the same keys, the most promising first."""
    rows = [_row(rank, one) for rank, one in enumerate(chosen, 1)]
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return [{key: row.get(key) for key in keys} for row in rows]


def _row(rank: int, one: Examined) -> dict[str, Any]:
    row: dict[str, Any] = {
        "rank": rank,
        "name": name_of(rank, one),
        "formula": one.relaxed.formula,
        "num_atoms": one.crystal.num_atoms,
        "elements": "-".join(SYMBOLS[z] for z in sorted(one.elements)),
        "space_group": one.space_group,
        "prototype": one.prototype,
        "ranked_by": one.worst_above_hull,
    }
    row |= {f"relaxed.{name}": getattr(one.relaxed, name) for name in _RELAXED}
    row["relaxed.decomposition"] = " + ".join(
        f"{phase.fraction:.3f} {phase.formula} ({phase.id})" for phase in one.relaxed.decomposition
    )
    row |= {f"audits.{a.calculator_id}.e_above_hull": a.e_above_hull for a in one.relaxed.audits}
    row |= {f"given.{name}": getattr(one.given, name) for name in _GIVEN}
    row |= {f"relaxation.{name}": getattr(one.given.relaxation, name) for name, _ in _RELAXATION}
    for beside in one.comparisons:
        row |= {
            f"{beside.reference}.nearest": beside.nearest,
            f"{beside.reference}.amd_distance": beside.amd_distance,
            f"{beside.reference}.novel_by_amd": beside.novel_by_amd,
            f"{beside.reference}.novel_by_matcher": beside.novel_by_matcher,
        }
    row["source"] = one.source
    return row | {f"file.{key}": _plain(value) for key, value in one.labels.items() if key != "formula"}


def sources_of(chosen: Sequence[Examined], provenance: Provenance) -> list[SourceOfColumn]:
    """Return the source of every column of `rows_of`, in its order."""
    calculator = f"{provenance.calculator_id} ({provenance.calculator_version})"
    on_hull = f"{calculator}, hull {provenance.hull_id}"
    units = {column.name: column.unit for column in COLUMNS.values()}
    audits = {audit.calculator_id: audit.hull_id for one in chosen for audit in one.relaxed.audits}
    made: dict[str, tuple[str, str, str]] = {
        "rank": ("", "place in the order of ranked_by", "xenolith candidates"),
        "name": ("", "rank and formula: names of files", "xenolith candidates"),
        "formula": ("", "StructureScore.formula of the relaxed structure", "oracle"),
        "num_atoms": ("", "atoms of the cell", "the structure"),
        "elements": ("", "elements of the cell", "the structure"),
        "space_group": ("", "relaxed structure, within 0.1 Angstrom", "spglib"),
        "prototype": ("", "protostructure label without its elements", "pymatgen"),
        "ranked_by": (
            "eV/atom",
            "largest e_above_hull of all judges, relaxed structure",
            "xenolith candidates",
        ),
        "relaxed.decomposition": ("", "StructureScore.decomposition of the relaxed structure", on_hull),
        "source": ("", "file of the structure as given", "the user"),
    }
    for name in _RELAXED:
        by = {"charge_neutral": "oracle (SMACT)", "energy_per_atom": calculator}.get(name, "oracle")
        by = on_hull if name in ("e_above_hull", "formation_energy_per_atom") else by
        made[f"relaxed.{name}"] = (units[name], f"StructureScore.{name} of the relaxed structure", by)
    for audit, hull in audits.items():
        made[f"audits.{audit}.e_above_hull"] = (
            "eV/atom",
            "StructureScore.audits[].e_above_hull of the structure relaxed by the first judge",
            f"{audit}, hull {hull or 'none'}",
        )
    for name in _GIVEN:
        made[f"given.{name}"] = (units[name], f"StructureScore.{name} of the structure as given", on_hull)
    for name, unit in _RELAXATION:
        made[f"relaxation.{name}"] = (unit, f"StructureScore.relaxation.{name}", calculator)
    for reference in {beside.reference: None for one in chosen for beside in one.comparisons}:
        for name, unit, how in (
            ("nearest", "", "nearest_reference (the same by StructureMatcher, if one is, else by AMD)"),
            ("amd_distance", "Angstrom", "amd_distance, sameness by AMD"),
            ("novel_by_amd", "", "novel, sameness by AMD"),
            ("novel_by_matcher", "", "novel, sameness by StructureMatcher"),
        ):
            made[f"{reference}.{name}"] = (unit, f"StructureScore.{how}, relaxed structure", reference)
    rows = rows_of(chosen)
    columns = list(rows[0]) if rows else []
    from_file = ("", "label beside the structure in its file", "the user's file or run")
    found = []
    for column in columns:
        unit, source, by = made.get(column, from_file)
        found.append(SourceOfColumn(column=column, unit=unit, source=source, made_by=by))
    return found


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
