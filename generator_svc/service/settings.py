"""Settings of the generator process, from arguments or XENOLITH_GENERATOR_* variables."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass

import torch

from generator_svc.device import resolve_device
from xenolith.bundle import DEFAULT_BUNDLE
from xenolith.errors import InvalidArgumentError
from xenolith.serving import usable_cores

PREFIX = "XENOLITH_GENERATOR_"


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings:
    """What to serve and on which device."""

    bundle: str
    """Name or path of the bundle."""
    device: str
    """Torch device, "cpu" or "cuda:0"; "auto" takes a GPU where there is one."""
    threads: int
    """Torch threads on the CPU; 0 takes one per core."""
    cleanup_oracle: str = ""
    """host:port of the oracle that relaxes decoded crystals on demand; empty: none does."""

    @property
    def torch_threads(self) -> int:
        """Torch threads, 0 resolved to the cores this process may use."""
        return self.threads or usable_cores()

    @property
    def torch_device(self) -> torch.device:
        """The device, "auto" resolved.

        Raises
        ------
        InvalidArgumentError : there is no such device.
        """
        return resolve_device(self.device)


def add_arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Options of `GeneratorSettings`; each default is read from the environment first."""
    parser.add_argument(
        "--bundle", default=os.environ.get(PREFIX + "BUNDLE", DEFAULT_BUNDLE), help="name or path"
    )
    parser.add_argument(
        "--device", default=os.environ.get(PREFIX + "DEVICE", "auto"), help="cpu, cuda:0 or auto"
    )
    parser.add_argument("--threads", default=os.environ.get(PREFIX + "THREADS", "0"), help="0: one per core")
    parser.add_argument(
        "--cleanup-oracle",
        default=os.environ.get(PREFIX + "CLEANUP_ORACLE", os.environ.get("XENOLITH_ORACLE", "")),
        metavar="HOST:PORT",
        help="oracle that relaxes samples when a request asks for it",
    )
    return parser


def settings_from(arguments: argparse.Namespace) -> GeneratorSettings:
    """Checked settings.

    Raises
    ------
    InvalidArgumentError : the option at fault is named.
    """
    if not str(arguments.threads).isdigit():
        raise InvalidArgumentError(
            f"--threads is {arguments.threads!r}, must be 0 or a positive whole number"
        )
    try:
        torch.device("cpu" if arguments.device == "auto" else arguments.device)
    except RuntimeError as error:
        raise InvalidArgumentError(f"--device {arguments.device!r} is no torch device: {error}") from error
    return GeneratorSettings(
        bundle=arguments.bundle,
        device=arguments.device,
        threads=int(arguments.threads),
        cleanup_oracle=arguments.cleanup_oracle,
    )
