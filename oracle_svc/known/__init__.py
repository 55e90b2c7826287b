"""What crystals are compared with: references, hulls, known structures, the spaces of diversity."""
