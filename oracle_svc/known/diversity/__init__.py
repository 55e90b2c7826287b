"""Diversity: the contribution of each structure of a batch to how well the batch covers a reference."""
