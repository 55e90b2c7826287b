"""The parts of `benchmarks/oracle.py`."""
