"""Samples of a step: atom counts, conditions and seeds, drawn and scored in groups."""
