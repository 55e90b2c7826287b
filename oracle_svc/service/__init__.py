"""The gRPC service: messages, settings, start-up, and operations that outlive their call."""
