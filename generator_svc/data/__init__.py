"""Training data: tables of crystals and ragged batches drawn from them."""
