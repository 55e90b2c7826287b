"""Novelty and uniqueness: the index of known crystals, and the rules by which two crystals are the same."""
