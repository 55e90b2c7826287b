"""A run's configuration: one document that fixes a run, read from files and from messages."""
