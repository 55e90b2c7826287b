"""Hulls of data bases: Materials Project entries, from a file or its API, and formation energies."""

from oracle_svc.known.imports.base import Imported, ImportedEnergies, write_hull
from oracle_svc.known.imports.entries import elemental_energies, read_entries
from oracle_svc.known.imports.formation import read_formation_energies
from oracle_svc.known.imports.materials_project import THERMO_TYPES, MpQuery, fetch_entries

__all__ = [
    "THERMO_TYPES",
    "Imported",
    "ImportedEnergies",
    "MpQuery",
    "elemental_energies",
    "fetch_entries",
    "read_entries",
    "read_formation_energies",
    "write_hull",
]
