"""Which prototype a crystal is, so that one of each is followed up."""

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from xenolith.convert import to_pymatgen
from xenolith.crystal import Crystal
from xenolith.elements import atomic_number
from xenolith.optional import require

__all__ = ["SYMPREC", "prototype_of"]

SYMPREC = 0.1
"""Tolerance of symmetry, Angstrom: relaxed structures are symmetric within this."""
_STAND_INS = tuple(atomic_number(symbol) for symbol in ("B", "C", "F", "K", "N", "O", "P", "S", "V", "Y"))
"""Elements in alphabetical order, none of them special to formulas beside others."""


def prototype_of(crystal: Crystal) -> tuple[str, str]:
    """Return space group and prototype of a crystal.

    The prototype is the protostructure label (R. Goodall et al., Sci. Adv. 8, eabn4117, 2022), as pymatgen
    makes it, without the elements: ``AB_cF8_225_a_b`` is rock salt. Which element is A does not depend on
    names. Free parameters of positions and cell are not compared.

    Returns
    -------
    tuple of str
        ``Fm-3m (225)`` and the label; two empty texts where no symmetry is found at all.
    """
    symmetry: Any = require("pymatgen.symmetry.analyzer", "pymatgen")
    prototypes: Any = require("pymatgen.analysis.prototypes", "pymatgen")
    labels, group = [], ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for anonymous in _anonymous(crystal):
                found = symmetry.SpacegroupAnalyzer(to_pymatgen(anonymous), symprec=SYMPREC)
                label = prototypes.get_protostructure_label_from_spg_analyzer(found, raise_errors=True)
                labels.append(str(label).partition(":")[0])
                group = f"{found.get_space_group_symbol()} ({found.get_space_group_number()})"
        except (symmetry.SymmetryUndeterminedError, ValueError, TypeError):
            return "", ""
    return group, min(labels)


def _anonymous(crystal: Crystal) -> Iterator[Crystal]:
    """The crystal with stand-ins for its elements, rarer ones first, ties in any order.

    The label names elements A, B, ... in the order of their symbols: TiO2 and CaF2 would differ by spelling.
    """
    numbers, counts = np.unique(crystal.numbers, return_counts=True)
    tied = [numbers[counts == count].tolist() for count in np.unique(counts)]
    for ways in itertools.product(*(itertools.permutations(members) for members in tied)):
        chosen = dict(zip(itertools.chain(*ways), _STAND_INS, strict=False))
        yield Crystal(
            lattice=crystal.lattice,
            numbers=np.array([chosen[number] for number in crystal.numbers.tolist()]),
            frac_coords=crystal.frac_coords,
        )
