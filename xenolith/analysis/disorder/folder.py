"""The folder of a mixing test: a table, and CIFs of the disordered parents."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xenolith.analysis.disorder.mixing import Mixing
from xenolith.analysis.disorder.occupancy_cif import occupancy_cif
from xenolith.elements import SYMBOLS
from xenolith.files import without_nan, write_bytes, write_csv, write_json

__all__ = ["disorder_rows", "write_disorder"]


def write_disorder(
    folder: Path,
    results: Sequence[Mixing],
    *,
    others: Mapping[str, str],
    temperature: float,
    provenance: Mapping[str, str],
) -> None:
    """Write ``disorder.csv``, ``disorder.json`` and ``occupancies/*.cif``, one for each result.

    Parameters
    ----------
    folder
        Where.
    results, others
        As `mixing_tests` returns them.
    temperature
        K, at which crystals are flagged.
    provenance
        What measured: names and ids.
    """
    (folder / "occupancies").mkdir(parents=True, exist_ok=True)
    rows = disorder_rows(results, temperature)
    for row, result in zip(rows, results, strict=True):
        write_bytes(folder / str(row["occupancy_cif"]), occupancy_cif(result.parent).encode())
    write_csv(folder / "disorder.csv", rows)
    document = {
        "temperature_K": temperature,
        "provenance": dict(provenance),
        "results": rows,
        "others": dict(others),
    }
    write_json(folder / "disorder.json", without_nan(document))


def disorder_rows(results: Sequence[Mixing], temperature: float) -> list[dict[str, Any]]:
    """Return one flat row for each result; energies in eV/atom, temperatures in K."""
    return [_row(number, result, temperature) for number, result in enumerate(results, 1)]


def _row(number: int, result: Mixing, temperature: float) -> dict[str, Any]:
    parent = result.parent
    elements = "-".join(SYMBOLS[z] for z in sorted(result.mixing))
    plain = "".join(letter for letter in result.formula if letter.isalnum())
    return {
        "source": result.source,
        "formula": result.formula,
        "mixing": elements,
        "ordered_space_group": parent.ordered_space_group,
        "parent_space_group": parent.space_group,
        "symprec": parent.symprec,
        "shared_sites": float(parent.shared.mean()),
        "mixing_entropy": parent.mixing_entropy,
        "orderings": result.orderings,
        "spread": result.spread,
        "given_energy": result.given_energy,
        "lowest_energy": result.lowest_energy,
        "random_energy": result.random_energy,
        "random_above_hull": result.random_above_hull,
        "ordering_temperature": result.ordering_temperature,
        "mixing_temperature": result.mixing_temperature,
        "disordered": result.disordered_at(temperature),
        "problem": result.problem,
        "occupancy_cif": f"occupancies/{number:03d}-{plain}-{elements}.cif",
    }
