"""A property of your own, in one file: the share of the cell that its atoms fill.

Offer it in an oracle beside the properties that ship:

    python -m oracle_svc --properties all,examples/properties/packing_fraction.py

or let a command start such an oracle for itself:

    XENOLITH_ORACLE_PROPERTIES=all,examples/properties/packing_fraction.py \
        xenolith score my_cifs/ --components validity,properties --json scores.json

Run this file to see it measured on rock salt: `python examples/properties/packing_fraction.py`.
"""

import math

from ase.data import covalent_radii

from oracle_svc.properties import crystal_property
from xenolith import Crystal


@crystal_property(unit="")
def packing_fraction(crystal: Crystal) -> float:
    """Share of the cell filled by atoms as spheres of their covalent radii."""
    filled = sum(4 / 3 * math.pi * covalent_radii[number] ** 3 for number in crystal.numbers)
    return float(filled / crystal.volume)


def main() -> None:
    """Start an oracle that knows the property, and ask it."""
    from xenolith.stack import Stack, StackSettings

    salt = Crystal(
        lattice=[[0.0, 2.82, 2.82], [2.82, 0.0, 2.82], [2.82, 2.82, 0.0]],
        numbers=[11, 17],
        frac_coords=[[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]],
    )
    offered = {"XENOLITH_ORACLE_PROPERTIES": f"all,{__file__}"}
    settings = StackSettings(services=("oracle",), environment=offered)
    with Stack(settings) as stack, stack.client() as client:
        score = client.oracle.score(salt, components=["validity", "properties"])[0]
    for name, value in sorted(score.properties.items()):
        print(f"{name} = {value:.3f}")


if __name__ == "__main__":
    main()
