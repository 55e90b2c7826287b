"""Networks of the generator: transformer blocks, autoencoder, denoiser and its noise schedule, heads."""
