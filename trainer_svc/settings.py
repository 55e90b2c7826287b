"""Settings of the trainer process."""

import os
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from xenolith.serving import ProcessSettings, StackVariable

__all__ = ["TrainerSettings"]


class TrainerSettings(ProcessSettings):
    """Which services runs use, and where they are kept."""

    model_config = SettingsConfigDict(env_prefix="XENOLITH_TRAINER_")

    generator: Annotated[str, StackVariable("XENOLITH_GENERATOR")] = Field(
        "127.0.0.1:50051", description="host:port of the generator"
    )
    oracle: Annotated[str, StackVariable("XENOLITH_ORACLE")] = Field(
        "127.0.0.1:50052", description="host:port of the oracle"
    )
    runs: str = Field("runs", description="directory of all runs")
    threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="torch threads of the update, part of what makes runs repeat bit by bit; default: all",
    )
    services_token_file: str = Field("", description="file with the bearer token for generator and oracle")
    services_tls_ca: str = Field("", description="authority (PEM) to trust; connect to both over TLS")
