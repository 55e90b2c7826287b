"""The generator: autoencoder, latent diffusion, pretraining, bundles and the gRPC service."""

import os

# gRPC reads it once, when it is first imported; xenolith.serving.log says why.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from xenolith.old_names import keep_old_names

keep_old_names(
    {
        "generator_svc.bundle": "generator_svc.storage.bundle",
        "generator_svc.predictor.predictor": "generator_svc.predictor.trained",
    }
)
