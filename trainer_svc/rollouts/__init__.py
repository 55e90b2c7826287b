"""What a step samples: atom counts, conditions and seeds, drawn and scored in groups."""
