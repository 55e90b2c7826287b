"""CIF: text into blocks, a block into a crystal."""

from xenolith.convert.reading.cif.crystal import read_cif_blocks

__all__ = ["read_cif_blocks"]
