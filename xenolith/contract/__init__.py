"""The contract in Python: crystals, tensors, weights and errors from and to their messages."""
