"""The policy on both sides: the trainer's weights, and the generator that samples with them."""

import hashlib
import json

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generator_svc.model.denoiser import Denoiser, denoiser_config
from trainer_svc.errors import SourceChangedError
from trainer_svc.patience import Patience
from trainer_svc.remote import Generator
from trainer_svc.samples import Samples
from xenolith.chunks import ReceivedWeights
from xenolith.errors import FailedPreconditionError
from xenolith.v1 import generator_pb2

__all__ = ["PolicyLink", "build_denoiser", "tensors_of", "version_of"]


class PolicyLink:
    """Keeps a generator on the trainer's weights, also across the generator's restarts."""

    def __init__(
        self, generator: Generator, patience: Patience, source: generator_pb2.GeneratorServiceDescribeResponse
    ) -> None:
        """Bind a generator.

        Parameters
        ----------
        generator
            Samples.
        patience
            For when it is away.
        source
            Its description when the run began; another bundle is refused from then on.
        """
        self._generator, self._patience, self._source = generator, patience, source
        self._version = ""
        self._tensors: dict[str, NDArray[np.generic]] = {}

    @property
    def version(self) -> str:
        """Version that samples are asked from."""
        return self._version

    async def publish(self, version: str, weights: dict[str, Tensor]) -> None:
        """Make the generator sample with these weights from now on."""
        self._version = version
        self._tensors = {name: tensor.detach().cpu().numpy().copy() for name, tensor in weights.items()}
        await self._push()

    async def sample(self, request: generator_pb2.SampleRequest) -> Samples:
        """Sample with the published weights, pushing them again where they were lost.

        Raises
        ------
        SourceChangedError
            The generator came back with another bundle.
        """
        request.expected_policy_version = self._version
        request.expected_bundle_digest = self._source.bundle_digest
        for _ in range(3):
            try:
                return await self._patience.call("generator", lambda: self._generator.sample(request))
            except FailedPreconditionError as error:
                refusal = error
                await self._restore(error)
        raise refusal

    async def _restore(self, refusal: FailedPreconditionError) -> None:
        """Push our weights again: a restarted generator serves its bundle's own policy."""
        now = await self._patience.call("generator", self._generator.describe)
        if now.bundle_digest != self._source.bundle_digest:
            raise SourceChangedError(
                f"the generator now serves bundle {now.bundle_name} {now.bundle_digest[:12]}, the run"
                f" began with {self._source.bundle_name} {self._source.bundle_digest[:12]}; start it as"
                " before, then resume the run"
            ) from refusal
        if now.policy_version == self._version:
            raise refusal
        await self._push()

    async def _push(self) -> None:
        header = generator_pb2.WeightsHeader(
            kind=generator_pb2.WEIGHTS_KIND_FULL,
            policy_version=self._version,
            bundle_digest=self._source.bundle_digest,
            config_json=self._source.denoiser_config_json,
        )
        await self._patience.call("generator", lambda: self._generator.push(header, self._tensors))


def version_of(run_name: str, step: int, weights: dict[str, Tensor]) -> str:
    """Name the weights of a step; the digest tells apart runs that reuse a name."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].detach().cpu().contiguous().numpy().tobytes())
    return f"{run_name}/{step}:{digest.hexdigest()[:12]}"


def tensors_of(received: ReceivedWeights) -> dict[str, Tensor]:
    """Give received weights as tensors; the arrays that arrived are read-only."""
    return {name: torch.from_numpy(array.copy()) for name, array in received.tensors.items()}


def build_denoiser(config_json: str, weights: dict[str, Tensor]) -> Denoiser:
    """Build the generator's denoiser around its weights."""
    denoiser = Denoiser(denoiser_config(json.loads(config_json)["denoiser"]))
    denoiser.load_state_dict(weights)
    return denoiser
