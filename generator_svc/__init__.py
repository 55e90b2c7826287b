"""The generator: autoencoder, latent diffusion, pretraining, bundles and the gRPC service."""
