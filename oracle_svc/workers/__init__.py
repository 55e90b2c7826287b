"""Worker processes, whatever they compute: the pool, and both sides of one process."""
