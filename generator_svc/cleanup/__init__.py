"""Clean-up of decoded crystals: symmetrisation and a bounded relaxation, each switchable."""
