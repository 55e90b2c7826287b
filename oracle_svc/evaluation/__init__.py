"""Calculators at work: in worker processes, as jobs of a queue, and as auditors."""
