"""One batch on its way through the oracle: the stages, and what goes in and comes out."""
