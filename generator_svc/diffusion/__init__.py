"""Latent diffusion: schedule, sampler and the log-probabilities policy gradients need."""
