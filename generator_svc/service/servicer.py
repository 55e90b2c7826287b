"""GeneratorService: contract messages in, engine calls, contract messages out."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import structlog

from generator_svc.cleanup.plan import cleanup_plan
from generator_svc.diffusion.sampler import SamplerSettings
from generator_svc.finisher.plan import FinishPlan, finish_plan
from generator_svc.networks.schedule import SCHEDULE
from generator_svc.service import requests, responses
from generator_svc.service.engine import Engine, SampledChunk, SamplePlan, portions
from generator_svc.service.policy import Policy, PolicyStore
from generator_svc.service.pushers import Pushers
from generator_svc.service.totals import Totals
from xenolith.contract.chunks import send_weights
from xenolith.contract.wire import batch_to_proto, tensor_from_proto, tensor_to_proto
from xenolith.crystal import CrystalBatch
from xenolith.errors import CancelledError
from xenolith.serving import Stop, Worker
from xenolith.serving.calls.authentication import caller
from xenolith.serving.metric_sample import MetricSample
from xenolith.v1 import crystal_pb2, generator_pb2, generator_pb2_grpc

__all__ = ["VERSION", "GeneratorService"]

log = structlog.get_logger()
VERSION = version("xenolith")


class GeneratorService(generator_pb2_grpc.GeneratorServiceServicer):
    """Serves one bundle; one thread computes, the event loop stays free."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.policies = PolicyStore(engine.loaded)
        self.worker = Worker("generator")
        self._updating = asyncio.Lock()
        self._pushers = Pushers()
        self._totals = Totals()

    def metric_samples(self) -> Iterator[MetricSample]:
        """Return what it has done since it started, for `/metrics`."""
        yield from self._totals.metric_samples()
        yield from self.worker.metric_samples("xenolith_generator")

    async def Describe(
        self, request: generator_pb2.GeneratorServiceDescribeRequest, context: Any
    ) -> generator_pb2.GeneratorServiceDescribeResponse:
        """Describe the loaded model."""
        loaded = self.engine.loaded
        manifest = loaded.bundle.manifest
        defaults = requests.sampler_settings(generator_pb2.SamplerSettings(), self.engine)
        prior = zip(loaded.atom_counts, loaded.atom_count_probabilities, strict=True)
        return generator_pb2.GeneratorServiceDescribeResponse(
            service_version=VERSION,
            bundle_name=loaded.bundle.name,
            bundle_digest=loaded.bundle.digest,
            autoencoder_digest=loaded.autoencoder_digest,
            policy_version=self.policies.current.version,
            max_atoms=manifest["max_atoms"],
            max_samples=requests.MAX_SAMPLES,
            latent_dim=loaded.denoiser.config.latent_dim,
            embedding_dim=loaded.autoencoder.config.width,
            num_timesteps=requests.NUM_TIMESTEPS,
            default_sampler=responses.sampler(defaults),
            atom_count_prior=[
                generator_pb2.AtomCountProbability(num_atoms=int(n), probability=float(p)) for n, p in prior
            ],
            elements=manifest["elements"],
            condition_kinds=responses.condition_kinds(loaded.denoiser.config.conditions),
            condition_properties=responses.condition_properties(loaded.denoiser.config.conditions),
            denoiser_config_json=self._denoiser_config(),
            card_json=json.dumps(loaded.bundle.card),
            device=str(self.engine.device),
            default_finishing=responses.finishing(self.engine.finishing),
            finisher_digest=loaded.finisher_digest,
            limits=requests.LIMITS,
        )

    async def Sample(
        self, request: generator_pb2.SampleRequest, context: Any
    ) -> AsyncIterator[generator_pb2.SampleResponse]:
        """Stream finished samples."""
        policy = self.policies.at_hand(request.expected_policy_version)
        plan = await asyncio.to_thread(requests.sample_plan, request, self.engine)
        self._totals.requested(len(plan.num_atoms))

        def compute(stop: Stop) -> Iterator[generator_pb2.SampleResponse | None]:
            for chunk in self.engine.sample_in_turns(policy, plan, stop.is_set):
                if chunk is None:
                    yield None
                else:
                    self._totals.sampled(len(chunk.indices))
                    yield self._sample_response(chunk, plan, policy, request.return_trajectory)

        async for response in self.worker.iterate(compute):
            yield response

    async def Encode(
        self, request: generator_pb2.EncodeRequest, context: Any
    ) -> generator_pb2.EncodeResponse:
        """Crystals to latents; unsound ones get a status and NaN."""
        batch = await asyncio.to_thread(requests.encode_input, request, self.engine)
        return await self.worker.run_stoppable(lambda stop: self._encode(batch, request, stop))

    async def Decode(
        self, request: generator_pb2.DecodeRequest, context: Any
    ) -> generator_pb2.DecodeResponse:
        """Latents to crystals."""
        latents = tensor_from_proto(request.latents, "latents")
        num_atoms = await asyncio.to_thread(requests.decode_input, request, latents, self.engine)
        cleanup = cleanup_plan(request.cleanup, can_relax=self.engine.relaxer is not None)
        finishing = finish_plan(request.finishing, self.engine.finishing)
        cleaned = await self.worker.run_in_turns(
            lambda stop: self.engine.decode_in_turns(latents, num_atoms, finishing, cleanup, stop.is_set)
        )
        return generator_pb2.DecodeResponse(
            crystals=batch_to_proto(cleaned.crystals),
            provenance=self._provenance(self.policies.current, None, finishing, cleaned.steps),
        )

    async def UpdateWeights(
        self, request_iterator: AsyncIterator[generator_pb2.UpdateWeightsRequest], context: Any
    ) -> generator_pb2.UpdateWeightsResponse:
        """Replace the policy once everything has arrived and verified."""
        receiver = self.policies.receiver()
        async for message in request_iterator:
            receiver.add(message)
            if message.WhichOneof("part") == "header":
                self.policies.check(message.header)
                self._pushers.check(message.header.policy_version, caller())
        weights = await asyncio.to_thread(receiver.finish)
        async with self._updating:
            self._pushers.claim(weights.header.policy_version, caller())
            previous = await asyncio.to_thread(self.policies.replace, weights)
        self._totals.updated()
        current = weights.header.policy_version
        log.info("policy replaced", policy_version=current, previous=previous.version, sha256=weights.sha256)
        return generator_pb2.UpdateWeightsResponse(
            policy_version=current, previous_policy_version=previous.version, sha256=weights.sha256
        )

    async def GetWeights(
        self, request: generator_pb2.GetWeightsRequest, context: Any
    ) -> AsyncIterator[generator_pb2.GetWeightsResponse]:
        """Stream the weights of the current or the bundle's own policy."""
        policy = self.policies.at_hand(request.expected_policy_version)
        if request.kind == generator_pb2.WEIGHTS_KIND_ADAPTER:
            for message in responses.adapter_messages(policy, self.engine.loaded.bundle.digest):
                yield message
            return
        header = generator_pb2.WeightsHeader(
            kind=generator_pb2.WEIGHTS_KIND_FULL,
            policy_version=policy.version,
            bundle_digest=self.engine.loaded.bundle.digest,
            config_json=self._denoiser_config(),
        )
        arrays = {name: value.cpu().numpy() for name, value in policy.denoiser.state_dict().items()}
        for message in send_weights(generator_pb2.GetWeightsResponse, header, arrays):
            yield message

    def _encode(
        self, batch: CrystalBatch, request: generator_pb2.EncodeRequest, stop: Stop
    ) -> generator_pb2.EncodeResponse:
        checks = [self.engine.status(crystal) for crystal in batch]
        sound = [i for i, (status, _) in enumerate(checks) if status == crystal_pb2.STRUCTURE_STATUS_OK]
        autoencoder = self.engine.loaded.autoencoder.config
        latents = np.full((batch.total_atoms, autoencoder.latent_dim), np.nan, dtype=np.float32)
        log_variance = latents.copy()
        embeddings = np.full((len(batch), autoencoder.width), np.nan, dtype=np.float32)
        offsets = batch.offsets
        for part in portions(sound):
            if stop.is_set():
                raise CancelledError("the call was cancelled or its deadline passed")
            rows = np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in part])
            mean, variance, pooled = self.engine.encode([batch[i] for i in part])
            latents[rows], log_variance[rows] = mean.cpu().numpy(), variance.cpu().numpy()
            embeddings[part] = pooled.cpu().numpy()
        response = generator_pb2.EncodeResponse(
            statuses=[status for status, _ in checks],
            messages=[message for _, message in checks],
            latents=tensor_to_proto(latents),
            provenance=self._provenance(self.policies.current, None),
        )
        if request.return_embeddings:
            response.embeddings.CopyFrom(tensor_to_proto(embeddings))
        if request.return_log_variance:
            response.log_variance.CopyFrom(tensor_to_proto(log_variance))
        return response

    def _sample_response(
        self, chunk: SampledChunk, plan: SamplePlan, policy: Policy, with_trajectory: bool
    ) -> generator_pb2.SampleResponse:
        response = generator_pb2.SampleResponse(
            sample_indices=chunk.indices.tolist(),
            sample_seeds=plan.seeds[chunk.indices].tolist(),
            crystals=batch_to_proto(chunk.crystals),
            latents=tensor_to_proto(chunk.trajectory.sample.cpu().numpy()),
            provenance=self._provenance(policy, plan.settings, plan.finishing, chunk.cleanup),
        )
        if with_trajectory:
            response.trajectory.CopyFrom(responses.trajectory(chunk, plan.settings))
        if chunk.embeddings is not None:
            response.embeddings.CopyFrom(tensor_to_proto(chunk.embeddings))
        return response

    def _provenance(
        self,
        policy: Policy,
        settings: SamplerSettings | None,
        finishing: FinishPlan | None = None,
        cleanup: Sequence[str] = (),
    ) -> generator_pb2.GeneratorProvenance:
        loaded = self.engine.loaded
        return generator_pb2.GeneratorProvenance(
            policy_version=policy.version,
            bundle_name=loaded.bundle.name,
            bundle_digest=loaded.bundle.digest,
            autoencoder_digest=loaded.autoencoder_digest,
            sampler=None if settings is None else responses.sampler(settings),
            finishing=responses.finishing(finishing),
            finisher_digest="" if finishing is None else loaded.finisher_digest,
            cleanup=cleanup,
            service_version=VERSION,
        )

    def _denoiser_config(self) -> str:
        config = dataclasses.asdict(self.engine.loaded.denoiser.config)
        return json.dumps(
            {
                "denoiser": config,
                "prediction": "velocity",
                "schedule": SCHEDULE,
                "num_timesteps": requests.NUM_TIMESTEPS,
            }
        )
