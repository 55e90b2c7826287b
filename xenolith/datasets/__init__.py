"""Public sets of crystals, fetched from where their authors publish them."""

from xenolith.datasets.mp20 import Mp20Source, fetch_mp20

__all__ = ["Mp20Source", "fetch_mp20"]
