"""Versions that a run was computed with: software here, and the services it called."""

import platform
from importlib import metadata
from typing import Any

from google.protobuf import json_format

from xenolith.v1 import generator_pb2, oracle_pb2

__all__ = ["software_versions", "source_versions"]

_PACKAGES = ("xenolith", "torch", "numpy", "grpcio", "protobuf", "safetensors", "pyarrow")


def software_versions() -> dict[str, str]:
    """Versions of what computes in this process."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def source_versions(
    generator: generator_pb2.GeneratorServiceDescribeResponse,
    oracle: oracle_pb2.OracleServiceDescribeResponse,
) -> dict[str, Any]:
    """Identify the services' software, bundle, calculators and references."""
    keep = ("service_version", "bundle_name", "bundle_digest", "autoencoder_digest", "device")
    asked = json_format.MessageToDict(oracle, preserving_proto_field_name=True)
    return {
        "generator": {name: getattr(generator, name) for name in keep},
        "oracle": {
            "service_version": oracle.service_version,
            "cache_backend": oracle.cache_backend,
            "calculators": [
                {name: entry.get(name, "") for name in ("id", "version", "scheme")}
                for entry in asked.get("calculators", [])
            ],
            "references": [
                {name: entry.get(name, "") for name in ("id", "hull_id", "num_structures")}
                for entry in asked.get("references", [])
            ],
        },
    }
