"""Latent diffusion: the sampler and the log-probabilities that policy gradients need."""
