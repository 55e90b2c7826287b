"""What trainings and bundles keep on disk: weights, checkpoints, folders, bundles."""
