"""What the words metastable and stable mean, defined once.

Source: arXiv 2511.07158, Methods; the same convention as MatterGen's and LeMat-GenBench's.
"""

__all__ = ["METASTABLE_BELOW", "STABLE_UP_TO"]

METASTABLE_BELOW = 0.1
"""Metastable: energy above the hull below this, eV/atom."""

STABLE_UP_TO = 1e-5
"""Stable: energy above the hull at most this, eV/atom.

A phase of the hull that is measured again comes out up to 3e-6 eV/atom off: calculators work in single
precision, and the order of sums changes with the batch. No physics is finer than this.
"""
