"""The parts of `benchmarks/attacks.py` and `benchmarks/load.py`."""
