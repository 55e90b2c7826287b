"""Pretraining of the autoencoder and the denoiser: resumable loops with TensorBoard and progress."""
