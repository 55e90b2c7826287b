"""Crystals as geometry: neighbours, lattices, one form for one crystal, and AMD vectors."""
