"""The generator as a gRPC service."""
