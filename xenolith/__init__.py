"""Xenolith: guide a generative model toward crystals that nobody has listed yet and that are likely to exist."""
