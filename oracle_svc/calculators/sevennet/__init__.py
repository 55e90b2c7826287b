"""SevenNet: an equivariant network of its own, and where its energies meet the Materials Project's."""
