"""Tests of the project, and what they share with benchmarks."""
