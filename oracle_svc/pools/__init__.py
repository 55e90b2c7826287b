"""Worker processes, and calculators at work in them or as jobs of a queue."""
