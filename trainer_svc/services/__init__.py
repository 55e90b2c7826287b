"""The generator and the oracle as the trainer calls them, with patience while they are away."""
