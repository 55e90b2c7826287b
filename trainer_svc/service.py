"""TrainerService: contract messages in, the run manager's work, contract messages out."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trainer_svc.algorithms.registry import algorithm_names
from trainer_svc.config.limits import RunLimits
from trainer_svc.config.messages import config_from_proto, config_to_proto
from trainer_svc.errors import NoSuchRunError
from trainer_svc.rewards.spec import builtin_specs
from trainer_svc.runs.watching import watch
from trainer_svc.training.evaluate_call import evaluate
from trainer_svc.training.manager import RunManager
from trainer_svc.training.publish_call import publish_policy
from xenolith.contract.bounds import check_bounded
from xenolith.errors import InvalidArgumentError
from xenolith.serving.metric_sample import MetricSample
from xenolith.v1 import trainer_pb2, trainer_pb2_grpc

__all__ = ["TrainerService"]

_PIECE = 2**20
_PAGE = 100


class TrainerService(trainer_pb2_grpc.TrainerServiceServicer):
    """Serves the runs of one directory."""

    def __init__(self, manager: RunManager, limits: RunLimits | None = None) -> None:
        self._manager = manager
        self._limits = limits or RunLimits()

    def metric_samples(self) -> Iterator[MetricSample]:
        """Return what its runs have done, for `/metrics`."""
        return self._manager.metric_samples()

    async def Describe(
        self, request: trainer_pb2.TrainerServiceDescribeRequest, context: Any
    ) -> trainer_pb2.TrainerServiceDescribeResponse:
        """Answer what runs can be made of."""
        return trainer_pb2.TrainerServiceDescribeResponse(
            service_version=version("xenolith"),
            algorithms=algorithm_names(),
            reward_specs=builtin_specs(),
            limits=self._limits.described(),
            max_queued_runs=self._manager.max_queued,
        )

    async def StartRun(
        self, request: trainer_pb2.StartRunRequest, context: Any
    ) -> trainer_pb2.StartRunResponse:
        """Start a run, or only check its configuration."""
        check_bounded(request)
        config = await asyncio.to_thread(config_from_proto, request.config)
        self._limits.check_run(config)
        if request.validate_only:
            run = trainer_pb2.Run(name=config.name, config=config_to_proto(config), steps_total=config.steps)
            return trainer_pb2.StartRunResponse(run=run)
        return trainer_pb2.StartRunResponse(run=self._manager.start(config))

    async def GetRun(self, request: trainer_pb2.GetRunRequest, context: Any) -> trainer_pb2.GetRunResponse:
        """One run."""
        return trainer_pb2.GetRunResponse(run=self._manager.run(request.name))

    async def ListRuns(
        self, request: trainer_pb2.ListRunsRequest, context: Any
    ) -> trainer_pb2.ListRunsResponse:
        """Runs, newest first; the page token is the last name of the page before."""
        names = self._manager.names()
        if request.page_token:
            if request.page_token not in names:
                raise InvalidArgumentError(f"page_token {request.page_token!r} is not one of ListRuns")
            names = names[names.index(request.page_token) + 1 :]
        runs = [self._manager.run(name) for name in names]
        wanted = [run for run in runs if not request.states or run.state in request.states]
        page = wanted[: request.page_size or _PAGE]
        token = page[-1].name if len(page) < len(wanted) else ""
        return trainer_pb2.ListRunsResponse(runs=page, next_page_token=token)

    async def WatchRun(
        self, request: trainer_pb2.WatchRunRequest, context: Any
    ) -> AsyncIterator[trainer_pb2.WatchRunResponse]:
        """Past events, then live ones, until the run ends."""
        async for event in watch(self._manager.log_to_watch(request.name), request.after_sequence):
            yield event

    async def StopRun(self, request: trainer_pb2.StopRunRequest, context: Any) -> trainer_pb2.StopRunResponse:
        """Stop after the step at work."""
        return trainer_pb2.StopRunResponse(run=self._manager.stop(request.name))

    async def ResumeRun(
        self, request: trainer_pb2.ResumeRunRequest, context: Any
    ) -> trainer_pb2.ResumeRunResponse:
        """Go on from the last checkpoint, or an earlier one."""
        steps = request.steps if request.HasField("steps") else None
        from_step = request.from_step if request.HasField("from_step") else None
        self._limits.check_steps(steps or 0, "steps")
        return trainer_pb2.ResumeRunResponse(run=self._manager.resume(request.name, steps, from_step))

    async def DeleteRun(
        self, request: trainer_pb2.DeleteRunRequest, context: Any
    ) -> trainer_pb2.DeleteRunResponse:
        """Remove a run."""
        await self._manager.delete(request.name)
        return trainer_pb2.DeleteRunResponse()

    async def Evaluate(
        self, request: trainer_pb2.EvaluateRequest, context: Any
    ) -> AsyncIterator[trainer_pb2.EvaluateResponse]:
        """Evaluate a policy: progress, the result last."""
        async for response in evaluate(request, self._manager, self._limits):
            yield response

    async def PublishPolicy(
        self, request: trainer_pb2.PublishPolicyRequest, context: Any
    ) -> trainer_pb2.PublishPolicyResponse:
        """Make the generator sample with a policy of a run."""
        return await publish_policy(request, self._manager)

    async def GetArtifact(
        self, request: trainer_pb2.GetArtifactRequest, context: Any
    ) -> AsyncIterator[trainer_pb2.GetArtifactResponse]:
        """Read a file of a run in pieces."""
        directory = self._manager.directory(request.run_name)
        artifacts = directory.artifacts()
        if request.artifact not in artifacts:
            known = ", ".join(sorted(artifacts)) or "none yet"
            raise NoSuchRunError(
                f"run {request.run_name!r} has no file {request.artifact!r}; it has: {known}"
            )
        data = await asyncio.to_thread(_read, directory.path / request.artifact)
        for start in range(0, max(len(data), 1), _PIECE):
            piece = trainer_pb2.GetArtifactResponse(data=data[start : start + _PIECE])
            if start == 0:
                piece.media_type, piece.total_bytes = artifacts[request.artifact], len(data)
            yield piece


def _read(path: Path) -> bytes:
    return path.read_bytes()
