"""The generator: autoencoder, latent diffusion, pretraining, bundles and the gRPC service."""

from xenolith.old_names import keep_old_names

keep_old_names(
    {
        "generator_svc.bundle": "generator_svc.storage.bundle",
        "generator_svc.predictor.predictor": "generator_svc.predictor.trained",
    }
)
