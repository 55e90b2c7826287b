"""The calls of the trainer."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from google.protobuf.message import Message

from xenolith.client.conditions import read_condition
from xenolith.client.messages import fill
from xenolith.client.results.runs import (
    Artifact,
    ArtifactCollector,
    EvaluationCollector,
    Event,
    Run,
    RunPage,
    event_from_proto,
    run_from_proto,
)
from xenolith.client.transport.calls import Collect, Iterate, Unary
from xenolith.contract.states import run_state_number
from xenolith.v1 import trainer_pb2

__all__ = [
    "delete_run",
    "describe",
    "evaluate",
    "get_artifact",
    "get_run",
    "list_runs",
    "publish_policy",
    "resume_run",
    "run_config",
    "start_run",
    "stop_run",
    "watch_run",
]

_SHORT_S = 60.0
_HOUR_S = 3600.0


def run_config(
    config: trainer_pb2.RunConfig | Mapping[str, Any] | None = None, **fields: Any
) -> trainer_pb2.RunConfig:
    """Return a ``RunConfig`` from a message or mapping and single fields; unknown names are refused.

    Conditions may be messages, or tables as `read_condition` reads them.
    """
    result = trainer_pb2.RunConfig()
    if isinstance(config, trainer_pb2.RunConfig):
        result.CopyFrom(config)
    elif config:
        fill(result, _with_conditions(config), "config")
    # A term list given anew replaces the one there is.
    for name in set(fields) & {"reward_terms", "conditions"}:
        result.ClearField(name)
    return fill(result, _with_conditions(fields), "config")


def _with_conditions(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    given = fields.get("conditions")
    if not isinstance(given, list | tuple):
        return fields
    read = [read_condition(one) if isinstance(one, Mapping) else one for one in given]
    return {**fields, "conditions": read}


def describe(*, timeout_s: float | None = None) -> Unary[trainer_pb2.TrainerServiceDescribeResponse]:
    """Return what runs can be made of, and the most that they may ask for."""
    request = trainer_pb2.TrainerServiceDescribeRequest()
    return Unary(method="Describe", request=request, parse=lambda r: r, timeout_s=timeout_s, default_s=20)


def start_run(
    config: trainer_pb2.RunConfig | Mapping[str, Any] | None = None,
    *,
    validate_only: bool = False,
    timeout_s: float | None = None,
    **fields: Any,
) -> Unary[Run]:
    """Start a run: ``start_run(name="first", steps=20, group_size=32)``; fields are those of ``RunConfig``.

    The same name with the same configuration returns the run there is; with another one it is
    `AlreadyExistsError`.
    """
    request = trainer_pb2.StartRunRequest(config=run_config(config, **fields), validate_only=validate_only)
    return _run_call("StartRun", request, timeout_s)


def get_run(name: str, *, timeout_s: float | None = None) -> Unary[Run]:
    """Return a run."""
    return _run_call("GetRun", trainer_pb2.GetRunRequest(name=name), timeout_s)


def stop_run(name: str, *, timeout_s: float | None = None) -> Unary[Run]:
    """Stop a run after the step at work."""
    return _run_call("StopRun", trainer_pb2.StopRunRequest(name=name), timeout_s)


def resume_run(
    name: str, *, steps: int | None = None, from_step: int | None = None, timeout_s: float | None = None
) -> Unary[Run]:
    """Continue a run from its last checkpoint.

    Parameters
    ----------
    name
        Of the run.
    steps
        Another number of steps in all; None: as planned.
    from_step
        Step whose checkpoint to go back to, such as one before a damaged one; None: the last one.
    timeout_s
        Seconds until the call fails.
    """
    request = trainer_pb2.ResumeRunRequest(name=name, steps=steps, from_step=from_step)
    return _run_call("ResumeRun", request, timeout_s)


def delete_run(name: str, *, timeout_s: float | None = None) -> Unary[None]:
    """Remove a run with all its files; refused while it is at work or waits for its turn."""
    return Unary(
        method="DeleteRun",
        request=trainer_pb2.DeleteRunRequest(name=name),
        parse=lambda _: None,
        timeout_s=timeout_s,
        default_s=300,
    )


def list_runs(
    *, states: Iterable[str] = (), page_size: int = 0, page_token: str = "", timeout_s: float | None = None
) -> Unary[RunPage]:
    """Return runs, newest first, all of them or those in `states`."""
    request = trainer_pb2.ListRunsRequest(
        states=[run_state_number(state) for state in states],
        page_size=page_size,
        page_token=page_token,
    )
    return Unary(method="ListRuns", request=request, parse=_page, timeout_s=timeout_s, default_s=_SHORT_S)


def watch_run(name: str, *, after_sequence: int = 0, timeout_s: float | None = None) -> Iterate[Event]:
    """Yield the events of a run, past ones first, until it ends; a broken connection is taken up again."""
    return Iterate(
        method="WatchRun",
        request=trainer_pb2.WatchRunRequest(name=name, after_sequence=after_sequence),
        parse=event_from_proto,
        timeout_s=timeout_s,
        default_s=None,
        resume=_after,
    )


def evaluate(
    run_name: str = "",
    *,
    step: int | None = None,
    n: int | None = None,
    seed: int = 0,
    settings: trainer_pb2.EvaluationSettings | Mapping[str, Any] | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
    timeout_s: float | None = None,
    **fields: Any,
) -> Collect[trainer_pb2.Evaluation]:
    """Sample a policy, score the samples, and return the headline metrics.

    Parameters
    ----------
    run_name
        Run whose policy is evaluated; empty: the bundle's base policy.
    step
        Step of the run; None: the latest.
    n
        Samples; None: 1000.
    seed
        Seed of the evaluation.
    settings
        Everything else of ``EvaluationSettings``.
    on_progress
        Called with the stage, how much is done, and how much there is (0 if unknown).
    timeout_s
        Seconds until the call fails; default 1 hour plus 10 per sample.
    fields
        Further fields of ``EvaluateRequest``.
    """
    wanted = trainer_pb2.EvaluationSettings()
    if isinstance(settings, trainer_pb2.EvaluationSettings):
        wanted.CopyFrom(settings)
    else:
        fill(wanted, settings or {}, "settings")
    if n is not None:
        wanted.n = n
    request = trainer_pb2.EvaluateRequest(run_name=run_name, step=step, settings=wanted, seed=seed)
    fill(request, fields, "evaluate")
    return Collect(
        method="Evaluate",
        request=request,
        collector=lambda: EvaluationCollector(on_progress),
        timeout_s=timeout_s,
        default_s=_HOUR_S + 10 * (n or 1000),
    )


def publish_policy(run_name: str, *, step: int | None = None, timeout_s: float | None = None) -> Unary[str]:
    """Make the generator sample with a policy of a run, by default the one that the run has chosen.

    Returns its version, for ``expected_policy_version`` of ``generator.sample``.
    """
    return Unary(
        method="PublishPolicy",
        request=trainer_pb2.PublishPolicyRequest(run_name=run_name, step=step),
        parse=lambda response: response.policy_version,
        timeout_s=timeout_s,
        default_s=300,
    )


def get_artifact(run_name: str, artifact: str, *, timeout_s: float | None = None) -> Collect[Artifact]:
    """Return a file of a run, such as ``report.html``."""
    return Collect(
        method="GetArtifact",
        request=trainer_pb2.GetArtifactRequest(run_name=run_name, artifact=artifact),
        collector=lambda: ArtifactCollector(artifact),
        timeout_s=timeout_s,
        default_s=300,
    )


def _run_call(method: str, request: Message, timeout_s: float | None) -> Unary[Run]:
    return Unary(
        method=method,
        request=request,
        parse=lambda r: run_from_proto(r.run),
        timeout_s=timeout_s,
        default_s=_SHORT_S,
    )


def _page(response: trainer_pb2.ListRunsResponse) -> RunPage:
    return RunPage(
        runs=tuple(run_from_proto(run) for run in response.runs), next_page_token=response.next_page_token
    )


def _after(request: trainer_pb2.WatchRunRequest, last: trainer_pb2.WatchRunResponse) -> None:
    request.after_sequence = last.sequence
