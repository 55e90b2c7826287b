"""Parts of `benchmarks.policy`."""
