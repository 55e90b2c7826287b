"""A reference on disk: what is known, its index and the hull; reading and writing it."""
