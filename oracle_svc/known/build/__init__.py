"""Building references: reading structures, computing their energies, and the hulls made of them."""
