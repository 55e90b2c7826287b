"""What oracles have in common: the checks that follow from Describe, and a stream of requests."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from xenolith.errors import FailedPreconditionError, UnimplementedError, XenolithError, invalid_field
from xenolith.v1 import oracle_pb2

__all__ = ["check_score_request", "score_stream"]

_DEFAULT = (
    oracle_pb2.COMPONENT_VALIDITY,
    oracle_pb2.COMPONENT_STABILITY,
    oracle_pb2.COMPONENT_NOVELTY,
    oracle_pb2.COMPONENT_UNIQUENESS,
)


def check_score_request(
    request: oracle_pb2.ScoreRequest,
    description: oracle_pb2.OracleServiceDescribeResponse,
    settings_digest: str = "",
) -> list[int]:
    """Return the components to measure, validity always among them, in the order of their numbers.

    Parameters
    ----------
    description
        What the oracle answers to Describe.
    settings_digest
        What the oracle would score this request with, for `expected_settings_digest`.

    Raises
    ------
    InvalidArgumentError
        A value is out of range, unknown or too many; names the field.
    FailedPreconditionError
        Calculator, reference or settings are not those that the request expects.
    UnimplementedError
        Something is asked for that the oracle does not describe.
    """
    count = len(request.crystals.num_atoms)
    if count > description.max_batch:
        raise invalid_field(
            "crystals.num_atoms",
            f"holds {count} structures, more than {description.max_batch}; send them in several requests",
        )
    settings = request.settings
    _check_ids(settings, description)
    _check_numbers(settings)
    _check_names(settings, description)
    if request.expected_settings_digest not in {"", settings_digest}:
        raise FailedPreconditionError(
            f"this oracle scores with settings {settings_digest}, not {request.expected_settings_digest}: "
            "a run is to stay on one scale; start a new run, or use the oracle of before"
        )
    return _components(request, description)


async def score_stream(
    requests: AsyncIterator[oracle_pb2.ScoreStreamRequest],
    score: Callable[[oracle_pb2.ScoreRequest], Awaitable[oracle_pb2.ScoreResponse]],
) -> AsyncIterator[oracle_pb2.ScoreStreamResponse]:
    """Answer a stream, batch after batch; a batch that is refused is answered with its error."""
    async for item in requests:
        answer = oracle_pb2.ScoreStreamResponse(batch_id=item.batch_id)
        try:
            answer.response.CopyFrom(await score(item.request))
        except XenolithError as error:
            answer.error.code, answer.error.message = error.code.value[0], error.message
            answer.error.field_violations.update({v.field: v.description for v in error.violations})
        yield answer


def _components(
    request: oracle_pb2.ScoreRequest, description: oracle_pb2.OracleServiceDescribeResponse
) -> list[int]:
    for position, number in enumerate(request.components):
        if number == 0 or number not in oracle_pb2.Component.values():
            raise invalid_field(
                f"components[{position}]", f"is {number}, no component that this version knows"
            )
    asked = {*(request.components or _DEFAULT), oracle_pb2.COMPONENT_VALIDITY}
    if missing := sorted(asked - set(description.components)):
        raise UnimplementedError(
            f"this oracle does not measure {_names(missing)}; ask for {_names(description.components)}"
        )
    return sorted(asked)


def _check_ids(
    settings: oracle_pb2.ScoreSettings, description: oracle_pb2.OracleServiceDescribeResponse
) -> None:
    for field, described in (
        ("calculator_id", description.calculators),
        ("reference_id", description.references),
    ):
        asked, ids = getattr(settings, field), [entry.id for entry in described]
        if asked and asked not in ids:
            what = field.removesuffix("_id")
            raise FailedPreconditionError(
                f"this oracle's {what} is {' or '.join(ids) or 'none'}, not {asked}"
            )


def _check_numbers(settings: oracle_pb2.ScoreSettings) -> None:
    sameness = settings.sameness
    if sameness.metric not in oracle_pb2.SamenessMetric.values():
        raise invalid_field(
            "settings.sameness.metric", f"is {sameness.metric}, no metric that this version knows"
        )
    _check_positive(settings, "structure_timeout_s", "settings")
    _check_positive(sameness, "amd_tolerance", "settings.sameness", least=0.0)
    for name in ("length_tolerance", "site_tolerance", "angle_tolerance"):
        _check_positive(sameness, name, "settings.sameness")
    for name in ("max_steps", "fmax"):
        _check_positive(settings.relax, name, "settings.relax")


def _check_positive(message: Any, name: str, path: str, *, least: float = math.ulp(0.0)) -> None:
    value = getattr(message, name)
    if message.HasField(name) and not (math.isfinite(value) and value >= least):
        raise invalid_field(f"{path}.{name}", f"is {value:g}, expected a positive number")


def _check_names(
    settings: oracle_pb2.ScoreSettings, description: oracle_pb2.OracleServiceDescribeResponse
) -> None:
    chosen = [c for c in description.calculators if settings.calculator_id in {"", c.id}][:1]
    accepted = {name for calculator in chosen for name in calculator.settings}
    for field, asked, known in (
        ("calculator_settings", settings.calculator_settings.fields, accepted),
        ("properties", settings.properties, {info.name for info in description.properties}),
    ):
        if unknown := sorted(set(asked) - known):
            raise invalid_field(
                f"settings.{field}",
                f"holds {', '.join(unknown)}; known: {', '.join(sorted(known)) or 'none'}",
            )
    if settings.HasField("relax") and not any(calculator.supports_relaxation for calculator in chosen):
        raise UnimplementedError("this oracle does not relax structures; score without `relax`")


def _names(components: Any) -> str:
    return ", ".join(oracle_pb2.Component.Name(n).removeprefix("COMPONENT_").lower() for n in components)
