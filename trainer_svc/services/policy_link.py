"""The policy on both sides: the trainer's weights, and the generator that samples with them."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generator_svc.networks.conditions import ConditionsConfig
from generator_svc.networks.denoiser import Denoiser, denoiser_config
from generator_svc.networks.lora import LoraConfig
from trainer_svc.errors import SourceChangedError
from trainer_svc.services.in_flight import in_flight
from trainer_svc.services.remote import Generator
from xenolith.client import Encoded, Samples
from xenolith.contract.chunks import ReceivedWeights
from xenolith.crystal import CrystalBatch
from xenolith.errors import FailedPreconditionError
from xenolith.v1 import generator_pb2

__all__ = ["PolicyLink", "build_denoiser", "learnt_conditions", "step_of", "tensors_of", "version_of"]


class PolicyLink:
    """Keeps all replicas of a generator on the trainer's weights, also across their restarts."""

    def __init__(self, generator: Generator, source: generator_pb2.GeneratorServiceDescribeResponse) -> None:
        """Bind a generator.

        Parameters
        ----------
        generator
            Samples.
        source
            Its description when the run began; another bundle is refused from then on.
        """
        self._generator, self._source = generator, source
        self._base: _Weights | None = None
        self._published = _Weights(version="", tensors={})
        self._restoring = asyncio.Lock()

    @property
    def version(self) -> str:
        """Version that samples are asked from."""
        return self._published.version

    async def publish(self, version: str, weights: dict[str, Tensor]) -> None:
        """Make the generator sample with these weights from now on."""
        self._published = _Weights(version=version, tensors=_arrays(weights))
        await self._push()

    async def publish_adapter(
        self,
        version: str,
        tensors: dict[str, Tensor],
        config: LoraConfig,
        base: tuple[str, dict[str, Tensor]],
    ) -> None:
        """Make the generator sample with an adapter from now on.

        Parameters
        ----------
        version
            Of the adapted policy.
        tensors, config
            The adapter.
        base
            Version and full weights of the policy that it applies to; sent where the generator lacks them.
        """
        if self._base is None or self._base.version != base[0]:
            self._base = _Weights(version=base[0], tensors=_arrays(base[1]))
        self._published = _Weights(version=version, tensors=_arrays(tensors), adapter=config)
        await self._push()

    async def sample(self, request: generator_pb2.SampleRequest) -> Samples:
        """Sample with the published weights, pushing them again where they were lost.

        Raises
        ------
        SourceChangedError
            The generator came back with another bundle.
        """
        request.expected_policy_version = self.version
        request.expected_bundle_digest = self._source.bundle_digest
        for _ in range(3):
            try:
                return await self._generator.sample(request)
            except FailedPreconditionError as error:
                refusal = error
                async with self._restoring:
                    await self._restore(error)
        raise refusal

    async def sample_each(
        self,
        requests: Sequence[generator_pb2.SampleRequest],
        on_part: Callable[[Samples], None] = lambda _part: None,
    ) -> Samples:
        """Sample several requests, spread over the generator's replicas; in the order of the requests.

        Parameters
        ----------
        on_part
            Told the samples of each request as they come, in any order; may raise to stop.
        """
        count = await self._generator.replicas()
        # A second call waits at each replica, so that it has work when the first one is answered.
        at_once = 1 if count == 1 else 2 * count

        async def part(request: generator_pb2.SampleRequest) -> Samples:
            samples = await self.sample(request)
            on_part(samples)
            return samples

        return Samples.concat(await in_flight([partial(part, request) for request in requests], at_once))

    async def encode(self, crystals: CrystalBatch, *, return_embeddings: bool = False) -> Encoded:
        """Give the latents of crystals; NaN for those that cannot be encoded."""
        return await self._generator.encode(crystals, self._source.autoencoder_digest, return_embeddings)

    async def decode(self, latents: NDArray[np.float32], num_atoms: NDArray[np.int32]) -> CrystalBatch:
        """Give the crystals of (T, L) latents, finished as samples are."""
        return await self._generator.decode(latents, num_atoms, self._source.autoencoder_digest)

    async def _restore(self, refusal: FailedPreconditionError) -> None:
        """Push our weights again: a restarted generator serves its bundle's own policy."""
        replicas = await self._generator.describe_each()
        for now in replicas:
            if now.bundle_digest != self._source.bundle_digest:
                raise SourceChangedError(
                    f"the generator now serves bundle {now.bundle_name} {now.bundle_digest[:12]}, the run"
                    f" began with {self._source.bundle_name} {self._source.bundle_digest[:12]}; start it as"
                    " before, then resume the run"
                ) from refusal
        # Of several, the one that refused may have come or gone since.
        if len(replicas) == 1 and replicas[0].policy_version == self.version:
            raise refusal
        await self._push()

    async def _push(self) -> None:
        try:
            await self._send(self._published)
        except FailedPreconditionError:
            if self._published.adapter is None or self._base is None:
                raise
            # A generator that was restarted, or never had it, lacks the policy that the adapter applies to.
            await self._send(self._base)
            await self._send(self._published)

    async def _send(self, weights: "_Weights") -> None:
        header = generator_pb2.WeightsHeader(
            kind=generator_pb2.WEIGHTS_KIND_FULL,
            policy_version=weights.version,
            bundle_digest=self._source.bundle_digest,
            config_json=self._source.denoiser_config_json,
        )
        if weights.adapter is not None and self._base is not None:
            header.kind = generator_pb2.WEIGHTS_KIND_ADAPTER
            header.base_policy_version = self._base.version
            config = json.loads(self._source.denoiser_config_json)
            header.config_json = json.dumps(config | {"adapter": asdict(weights.adapter)})
        await self._generator.push(header, weights.tensors)


@dataclass(frozen=True, kw_only=True)
class _Weights:
    """Weights under a version, as they travel."""

    version: str
    tensors: dict[str, NDArray[np.generic]]
    adapter: LoraConfig | None = None
    """Set if they are an adapter."""


def _arrays(tensors: dict[str, Tensor]) -> dict[str, NDArray[np.generic]]:
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}


def version_of(run_name: str, step: int, weights: dict[str, Tensor]) -> str:
    """Name the weights of a step; the digest tells apart runs that reuse a name."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].detach().cpu().contiguous().numpy().tobytes())
    return f"{run_name}/{step}:{digest.hexdigest()[:12]}"


def step_of(version: str) -> int | None:
    """Give the step in a name that `version_of` gave; None for other names."""
    step = version.rpartition("/")[2].partition(":")[0]
    return int(step) if step.isdecimal() else None


def tensors_of(received: ReceivedWeights) -> dict[str, Tensor]:
    """Give received weights as tensors; the arrays that arrived are read-only."""
    return {name: torch.from_numpy(array.copy()) for name, array in received.tensors.items()}


def learnt_conditions(source: generator_pb2.GeneratorServiceDescribeResponse) -> ConditionsConfig | None:
    """Give what the generator's denoiser can be asked for."""
    return denoiser_config(json.loads(source.denoiser_config_json)["denoiser"]).conditions


def build_denoiser(config_json: str, weights: dict[str, Tensor]) -> Denoiser:
    """Build the generator's denoiser around its weights."""
    denoiser = Denoiser(denoiser_config(json.loads(config_json)["denoiser"]))
    denoiser.load_state_dict(weights)
    return denoiser
