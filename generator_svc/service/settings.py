"""Settings of the generator process."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from generator_svc.device import resolve_device
from xenolith.bundle import DEFAULT_BUNDLE
from xenolith.serving import HopSettings, StackVariable, usable_cores

__all__ = ["GeneratorSettings"]


class GeneratorSettings(HopSettings):
    """Settings of the generator service: the bundle to serve and the device."""

    model_config = SettingsConfigDict(env_prefix="XENOLITH_GENERATOR_")

    bundle: str = Field(DEFAULT_BUNDLE, description="name or path of the bundle")
    device: str = Field("auto", description="cpu, cuda:0, or auto: a GPU where there is one")
    threads: int = Field(0, ge=0, description="torch threads on the CPU; 0: one per core")
    cleanup_oracle: Annotated[str, StackVariable("XENOLITH_ORACLE")] = Field(
        "",
        description="host:port of the oracle that relaxes samples when a request asks for it",
    )

    @field_validator("device")
    @classmethod
    def _names_a_device(cls, device: str) -> str:
        try:
            torch.device("cpu" if device == "auto" else device)
        except RuntimeError as error:
            raise ValueError(f"{device!r} is no torch device: {error}") from error
        return device

    @property
    def torch_threads(self) -> int:
        """Torch threads, 0 resolved to the cores this process may use."""
        return self.threads or usable_cores()

    @property
    def torch_device(self) -> torch.device:
        """The device, "auto" resolved.

        Raises
        ------
        InvalidArgumentError
            There is no such device.
        """
        return resolve_device(self.device)
