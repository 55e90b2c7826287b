"""Networks of the generator: ragged transformer blocks, the autoencoder and the denoiser."""
