"""Energy calculators: CHGNet (default), MACE, and anything with an ASE calculator."""
