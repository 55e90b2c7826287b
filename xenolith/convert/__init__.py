"""Crystals from and to pymatgen, ASE, CIF, extxyz and POSCAR.

pymatgen and ASE are imported when they are needed, not before: ``pip install 'xenolith[pymatgen,ase]'``.
"""

from xenolith.convert.ase_atoms import from_ase, to_ase
from xenolith.convert.cif import read_cif, to_cif, write_cif
from xenolith.convert.extxyz import read_extxyz, write_extxyz
from xenolith.convert.files import is_structure_file, list_folder, read_path, read_paths
from xenolith.convert.item import Item, Items
from xenolith.convert.items import as_batch, as_crystal, as_items
from xenolith.convert.poscar import read_poscar, to_poscar
from xenolith.convert.pymatgen_structure import from_pymatgen, to_pymatgen

__all__ = [
    "Item",
    "Items",
    "as_batch",
    "as_crystal",
    "as_items",
    "from_ase",
    "from_pymatgen",
    "is_structure_file",
    "list_folder",
    "read_cif",
    "read_extxyz",
    "read_path",
    "read_paths",
    "read_poscar",
    "to_ase",
    "to_cif",
    "to_poscar",
    "to_pymatgen",
    "write_cif",
    "write_extxyz",
]
