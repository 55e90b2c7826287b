"""The trainer: reinforcement learning (GRPO) of a generator against an oracle, both reached over gRPC."""

import os

# gRPC reads it once, when it is first imported; xenolith.serving.log says why.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
