"""The oracle: measures crystals (validity, stability, novelty, uniqueness, diversity)."""
