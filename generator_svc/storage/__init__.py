"""Files of trainings and bundles: weights, checkpoints, folders, bundles."""
