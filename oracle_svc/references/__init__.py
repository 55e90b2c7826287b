"""References: what is known, and the hull energies are compared with; building, reading and writing them."""
