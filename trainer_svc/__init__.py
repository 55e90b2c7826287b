"""The trainer: reinforcement learning (GRPO) of a generator against an oracle, both reached over gRPC."""
