"""The parts of `benchmarks/generator.py`."""
