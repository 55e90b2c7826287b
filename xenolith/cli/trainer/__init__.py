"""Commands of the trainer: train, evaluate, report, the quickstart."""
