"""The policy that samples: one version at a time, swapped whole, the bundle's own always at hand."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass

import numpy as np
import torch

from generator_svc.bundle import LoadedBundle
from generator_svc.model.denoiser import Denoiser
from xenolith.chunks import ReceivedWeights
from xenolith.errors import FailedPreconditionError, UnimplementedError, invalid_field
from xenolith.v1 import generator_pb2


@dataclass(frozen=True)
class Policy:
    """A denoiser and the name of its weights."""

    version: str
    denoiser: Denoiser


class PolicyStore:
    """Holds the loaded policy; readers get a whole one, also while it is being replaced."""

    def __init__(self, loaded: LoadedBundle) -> None:
        self._bundle = loaded
        self.base = Policy(f"base:{loaded.denoiser_digest}", loaded.denoiser)
        self._current = self.base
        self._lock = threading.Lock()

    @property
    def current(self) -> Policy:
        """The policy that samples now."""
        return self._current

    def expect(self, version: str) -> Policy:
        """The current policy, if it has this version; an empty version stands for any.

        Raises
        ------
        FailedPreconditionError : another one is loaded; both are named.
        """
        policy = self._current
        if version and version != policy.version:
            raise FailedPreconditionError(
                f"expected policy {version!r}, loaded is {policy.version!r}: push the weights again"
            )
        return policy

    def readable(self, version: str) -> Policy:
        """A policy whose weights can be read: the current one or the bundle's own."""
        return self.base if version in {"base", self.base.version} else self.expect(version)

    def check(self, header: generator_pb2.WeightsHeader) -> None:
        """Refuse an update that cannot fit, before its bytes arrive.

        Raises
        ------
        InvalidArgumentError, FailedPreconditionError, UnimplementedError
        """
        if header.kind == generator_pb2.WEIGHTS_KIND_ADAPTER:
            raise UnimplementedError("adapters are not served by this version; send full weights")
        if not header.policy_version:
            raise invalid_field("header.policy_version", "is empty; name the version, such as 'my-run/12'")
        digest = self._bundle.bundle.digest
        if header.bundle_digest != digest:
            raise FailedPreconditionError(
                f"weights belong to bundle {header.bundle_digest!r}, loaded is {digest!r}"
            )
        self.expect(header.expected_policy_version)

    def replace(self, weights: ReceivedWeights) -> Policy:
        """Swap in verified weights; returns the policy they replaced.

        Raises
        ------
        InvalidArgumentError : a tensor is missing, unknown, of another shape or not finite.
        """
        self.check(weights.header)
        denoiser = copy.deepcopy(self._bundle.denoiser)
        expected = denoiser.state_dict()
        names = set(expected) ^ set(weights.tensors)
        if names:
            raise invalid_field("header.tensors", f"tensor {min(names)!r} is missing or not of this denoiser")
        staged = {}
        for name, array in weights.tensors.items():
            if array.shape != tuple(expected[name].shape):
                shapes = f"has shape {array.shape}, the denoiser's is {tuple(expected[name].shape)}"
                raise invalid_field("header.tensors", f"{name} {shapes}")
            if not np.isfinite(array).all():
                raise invalid_field("chunk.data", f"{name} holds NaN or infinity")
            staged[name] = torch.from_numpy(array.astype(np.float32))
        denoiser.load_state_dict(staged)
        with self._lock:
            self.expect(weights.header.expected_policy_version)
            previous, self._current = self._current, Policy(weights.header.policy_version, denoiser)
        return previous
