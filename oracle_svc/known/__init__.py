"""Known crystals to compare with: references, hulls, known structures, the spaces of diversity."""
