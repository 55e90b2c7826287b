"""The Evaluate call: a policy of a run, or the bundle's own, measured on fresh samples."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from google.protobuf import json_format
from pydantic import ValidationError
from torch import Tensor

from trainer_svc.config.limits import RunLimits
from trainer_svc.config.run_config import AtomCounts, EvaluationSettings, RolloutSampler
from trainer_svc.errors import ConfigError, RunStateError
from trainer_svc.evaluation.evaluator import EvaluationPlan, Evaluator, to_proto
from trainer_svc.rollouts.conditions import Conditions
from trainer_svc.rollouts.draws import AtomCountPrior
from trainer_svc.runs.checkpoints import Checkpoints
from trainer_svc.runs.targets import read_targets
from trainer_svc.services.policy_link import PolicyLink, tensors_of, version_of
from trainer_svc.services.remote import Generator, Oracle, patience
from trainer_svc.services.scoring import Scorer
from trainer_svc.training.manager import RunManager
from xenolith.contract.bounds import check_bounded
from xenolith.crystal import Crystal
from xenolith.explain import explain
from xenolith.v1 import trainer_pb2

__all__ = ["evaluate"]

_DEFAULT_N = 1000
_PATIENCE_S = 120.0
"""A caller waits for this; a run can wait longer."""


async def evaluate(
    request: trainer_pb2.EvaluateRequest, manager: RunManager, limits: RunLimits
) -> AsyncIterator[trainer_pb2.EvaluateResponse]:
    """Yield progress, the result last.

    Raises
    ------
    RunStateError
        A run is at work: both would use the same generator with different policies.
    ConfigError
        Settings that cannot be used.
    """
    check_bounded(request)
    settings, counts = await asyncio.to_thread(_settings, request)
    limits.check_evaluation(settings, "settings")
    if manager.turn.locked():
        raise RunStateError("a run is at work on the same generator; stop it or wait for its end")
    async with manager.turn, manager.services.connect(request.run_name, patience(_PATIENCE_S)) as services:
        updates: asyncio.Queue[trainer_pb2.EvaluateResponse] = asyncio.Queue()
        work = asyncio.create_task(_work(request, settings, counts, manager, services, updates))
        try:
            while not (work.done() and updates.empty()):
                waiting = asyncio.create_task(updates.get())
                await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
                if waiting.done():
                    yield waiting.result()
                else:
                    waiting.cancel()
            yield work.result()
        finally:
            # Also when the caller has gone.
            work.cancel()


async def _work(
    request: trainer_pb2.EvaluateRequest,
    settings: EvaluationSettings,
    counts: AtomCounts,
    manager: RunManager,
    services: tuple[Generator, Oracle],
    updates: asyncio.Queue[trainer_pb2.EvaluateResponse],
) -> trainer_pb2.EvaluateResponse:
    generator, oracle = services
    source = await generator.describe()
    sampler = _default_sampler(request, manager)
    link = PolicyLink(generator, source)
    scorer = Scorer(
        oracle, json_format.MessageToDict(request.score_settings, preserving_proto_field_name=True)
    )
    version, weights, targets = await _policy(request, manager, generator)
    await link.publish(version, weights)
    prior = AtomCountPrior(source.atom_count_prior, counts, source.max_atoms)
    evaluator = Evaluator(Conditions.of(_conditions(request, manager), prior, source), link, scorer)
    plan = EvaluationPlan.of(settings, sampler, request.seed, settings.n)

    def on_progress(stage: str, done: int, total: int) -> None:
        progress = trainer_pb2.Progress(stage=stage, done=done, total=total)
        updates.put_nowait(trainer_pb2.EvaluateResponse(progress=progress))

    evaluated = await evaluator.evaluate(plan, on_progress, targets)
    return trainer_pb2.EvaluateResponse(evaluation=to_proto(evaluated))


async def _policy(
    request: trainer_pb2.EvaluateRequest, manager: RunManager, generator: Generator
) -> tuple[str, dict[str, Tensor], list[Crystal]]:
    """Version, weights and targets of the policy of a run's step, or of the bundle's own."""
    if not request.run_name:
        received = await generator.weights("base")
        tensors = tensors_of(received)
        return version_of("base", 0, tensors), tensors, []
    directory = manager.directory(request.run_name)
    checkpoints = Checkpoints(directory.checkpoints, keep=1_000)
    step, tensors = checkpoints.policy(request.step if request.HasField("step") else None)
    targets = read_targets(directory.path, step)
    return version_of(request.run_name, step, tensors), tensors, targets


def _conditions(request: trainer_pb2.EvaluateRequest, manager: RunManager) -> list[dict[str, Any]]:
    """Conditions asked for, else those of the run."""
    if request.conditions or not request.run_name:
        return [_plain(message) for message in request.conditions]
    return list(manager.directory(request.run_name).read_config().conditions)


def _default_sampler(request: trainer_pb2.EvaluateRequest, manager: RunManager) -> RolloutSampler:
    if request.run_name:
        return manager.directory(request.run_name).read_config().sampler
    return RolloutSampler()


def _settings(request: trainer_pb2.EvaluateRequest) -> tuple[EvaluationSettings, AtomCounts]:
    try:
        settings = EvaluationSettings.model_validate({"n": _DEFAULT_N} | _asked(request.settings))
        counts = settings.atom_counts or AtomCounts.model_validate(_plain(request.atom_counts))
    except ValidationError as error:
        raise ConfigError(f"evaluation: {explain(error)}") from error
    if settings.n == 0:
        raise ConfigError("evaluation: settings.n is 0; ask for at least one sample")
    return settings, counts


def _plain(message: Any) -> dict[str, Any]:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _asked(settings: trainer_pb2.EvaluationSettings) -> dict[str, Any]:
    """Settings as plain data; an empty RelaxOptions is a wish, which plain data would lose."""
    plain = _plain(settings)
    return plain | {"relax": plain.get("relax", {})} if settings.HasField("relax") else plain
