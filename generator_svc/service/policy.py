"""The policy that samples: one version at a time, swapped whole, the bundle's own always at hand."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from generator_svc.networks.denoiser import Denoiser
from generator_svc.networks.lora import LoraConfig, merge
from generator_svc.storage.bundle import LoadedBundle
from xenolith.contract.chunks import ReceivedWeights, WeightsReceiver
from xenolith.errors import FailedPreconditionError, invalid_field
from xenolith.v1 import generator_pb2

__all__ = ["MAX_WEIGHT", "Adapter", "Policy", "PolicyStore"]

MAX_WEIGHT = 1e6
"""Largest size of a weight; those of networks that compute are a few units."""


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """The adapter that was merged into a policy, to be read back."""

    base_version: str
    tensors: Mapping[str, NDArray[np.float32]]
    config_json: str


@dataclass(frozen=True)
class Policy:
    """A denoiser and the name of its weights."""

    version: str
    denoiser: Denoiser
    """With its adapter merged, if it has one."""
    adapter: Adapter | None = None


class PolicyStore:
    """Holds the loaded policy; readers get a whole one, also while it is being replaced."""

    def __init__(self, loaded: LoadedBundle) -> None:
        self._bundle = loaded
        self.base = Policy(f"base:{loaded.denoiser_digest}", loaded.denoiser)
        self._current = self.base
        self._adapted = self.base
        self._lock = threading.Lock()

    @property
    def current(self) -> Policy:
        """The policy that samples now."""
        return self._current

    def receiver(self) -> WeightsReceiver:
        """Return what takes an update: none larger than all weights in the widest numbers."""
        tensors = self._bundle.denoiser.state_dict()
        size = sum(value.numel() for value in tensors.values())
        return WeightsReceiver(max_bytes=8 * size, max_tensors=4 * len(tensors))

    def expect(self, version: str) -> Policy:
        """The current policy, if it has this version; an empty version stands for any.

        Raises
        ------
        FailedPreconditionError
            Another one is loaded; both are named.
        """
        policy = self._current
        if version and version != policy.version:
            raise FailedPreconditionError(
                f"expected policy {version!r}, loaded is {policy.version!r}: push the weights again"
            )
        return policy

    def at_hand(self, version: str) -> Policy:
        """A policy that can sample and be read: the current one, or the bundle's own whatever is loaded.

        Raises
        ------
        FailedPreconditionError
            It is neither; the current one is named.
        """
        return self.base if version in {"base", self.base.version} else self.expect(version)

    def check(self, header: generator_pb2.WeightsHeader) -> None:
        """Refuse an update that cannot fit, before its bytes arrive.

        Raises
        ------
        InvalidArgumentError, FailedPreconditionError
        """
        if not header.policy_version:
            raise invalid_field("header.policy_version", "is empty; name the version, such as 'my-run/12'")
        digest = self._bundle.bundle.digest
        if header.bundle_digest != digest:
            raise FailedPreconditionError(
                f"weights belong to bundle {header.bundle_digest!r}, loaded is {digest!r}"
            )
        self.expect(header.expected_policy_version)
        if header.kind == generator_pb2.WEIGHTS_KIND_ADAPTER:
            _lora_config(header.config_json)
            self._base_of(header.base_policy_version)
        elif header.base_policy_version:
            raise invalid_field(
                "header.base_policy_version", "is for adapters; leave it empty for full weights"
            )

    def replace(self, weights: ReceivedWeights) -> Policy:
        """Swap in verified weights; returns the policy they replaced.

        Raises
        ------
        InvalidArgumentError
            A tensor is missing, unknown, of another shape or not finite.
        """
        header = weights.header
        self.check(header)
        if header.kind == generator_pb2.WEIGHTS_KIND_ADAPTER:
            base = self._base_of(header.base_policy_version)
            policy = _adapted(base, weights)
        else:
            base, policy = None, Policy(header.policy_version, self._full(weights))
        with self._lock:
            self.expect(header.expected_policy_version)
            previous, self._current = self._current, policy
            # What adapters apply to stays at hand, so that each step of a run sends its adapter alone.
            self._adapted = base or self._adapted
        return previous

    def _base_of(self, version: str) -> Policy:
        """The plain policy that an adapter applies to, if it is at hand."""
        known = [self.base, self._adapted, *([] if self._current.adapter else [self._current])]
        for policy in known:
            if version in {policy.version, *({"base"} if policy is self.base else ())}:
                return policy
        names = ", ".join(dict.fromkeys(policy.version for policy in known))
        raise FailedPreconditionError(
            f"the adapter applies to policy {version!r}, at hand are {names}: send that policy's full weights"
            " first"
        )

    def _full(self, weights: ReceivedWeights) -> Denoiser:
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
            staged[name] = _finite(name, array)
        denoiser.load_state_dict(staged)
        return denoiser


def _adapted(base: Policy, weights: ReceivedWeights) -> Policy:
    header = weights.header
    tensors = {name: _finite(name, array) for name, array in weights.tensors.items()}
    denoiser = copy.deepcopy(base.denoiser)
    device = next(denoiser.parameters()).device
    on_device = {name: value.to(device) for name, value in tensors.items()}
    try:
        denoiser.load_state_dict(merge(denoiser.state_dict(), on_device, _lora_config(header.config_json)))
    except ValueError as error:
        raise invalid_field("header.tensors", str(error)) from error
    arrays = {name: value.numpy() for name, value in tensors.items()}
    adapter = Adapter(base_version=base.version, tensors=arrays, config_json=header.config_json)
    return Policy(header.policy_version, denoiser, adapter)


def _finite(name: str, array: NDArray[np.generic]) -> torch.Tensor:
    if not np.isfinite(array).all():
        raise invalid_field("chunk.data", f"{name} holds NaN or infinity")
    if array.size and np.abs(array).max() > MAX_WEIGHT:
        raise invalid_field("chunk.data", f"{name} holds numbers beyond {MAX_WEIGHT:g}")
    return torch.from_numpy(array.astype(np.float32))


def _lora_config(config_json: str) -> LoraConfig:
    try:
        document: dict[str, Any] = json.loads(config_json)["adapter"]
        return LoraConfig(**{**document, "targets": tuple(document["targets"])})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise invalid_field(
            "header.config_json", f'must hold {{"adapter": {{"rank", "alpha", "targets"}}}}: {error!r}'
        ) from error
