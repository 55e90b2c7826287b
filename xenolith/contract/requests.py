"""Which score requests an oracle takes: what follows from the contract, and from what it says in Describe."""

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from xenolith.contract.bounds import check_bounded
from xenolith.contract.components import DEFAULT_COMPONENTS
from xenolith.contract.names import component_name, value_name
from xenolith.errors import FailedPreconditionError, FieldViolation, UnimplementedError, invalid_field
from xenolith.v1 import oracle_pb2

__all__ = ["check_score_request", "check_settings_digest", "components_of"]

_VALIDITY, _STABILITY = oracle_pb2.COMPONENT_VALIDITY, oracle_pb2.COMPONENT_STABILITY
_MOST_NAMES, _LONGEST_NAME = 256, 4_096
_ANY_ALGORITHM = frozenset(oracle_pb2.RelaxAlgorithm.values())


def check_score_request(
    request: oracle_pb2.ScoreRequest,
    description: oracle_pb2.OracleServiceDescribeResponse,
    settings_digest: str | None = "",
    *,
    components: Collection[int] | None = None,
    properties: Collection[str] | None = None,
    relax_algorithms: Collection[int] = _ANY_ALGORITHM,
) -> list[int]:
    """Refuse a request that this oracle cannot score as it is asked to; every error names the field.

    The crystals are left to `batch_from_proto`, which names their columns.

    Parameters
    ----------
    request
        As it came.
    description
        The oracle's answer to Describe: its limits, calculators, references and components.
    settings_digest
        What the oracle would score this request with, for `expected_settings_digest`. None: the caller
        knows it later, and then calls `check_settings_digest`.
    components, properties
        What the oracle can say more of than that it is not described; None: those that Describe lists.
    relax_algorithms
        Numbers of the `RelaxAlgorithm` that it has.

    Returns
    -------
    list of int
        The components to measure, validity always among them, in the order of their numbers.

    Raises
    ------
    InvalidArgumentError
        A value is out of range, unknown or too many.
    FailedPreconditionError
        Calculator, reference or settings are not those that the request expects.
    UnimplementedError
        Something is asked for that the contract has and this oracle has not.
    """
    settings = request.settings
    _check_size(request, description)
    _check_numbers(settings)
    _check_limits(request, description.limits)
    asked = components_of(request)
    served = description.components if components is None else components
    _check_served(request, asked, served)
    chosen = _check_ids(settings, description)
    _check_names(settings, description, chosen, properties)
    _check_relaxation(settings, asked, chosen, relax_algorithms)
    if settings_digest is not None:
        check_settings_digest(request, settings_digest)
    return asked


def components_of(request: oracle_pb2.ScoreRequest) -> list[int]:
    """Return the components that a request asks for, validity always among them, in order.

    Raises
    ------
    InvalidArgumentError
        A number is no component.
    """
    for position, number in enumerate(request.components):
        if number == oracle_pb2.COMPONENT_UNSPECIFIED or number not in oracle_pb2.Component.values():
            raise invalid_field(
                f"components[{position}]", f"is {number}, no component that this version knows"
            )
    return sorted({*(request.components or DEFAULT_COMPONENTS), _VALIDITY})


def check_settings_digest(request: oracle_pb2.ScoreRequest, settings_digest: str) -> None:
    """Refuse a request that expects to be scored with other settings than these.

    Raises
    ------
    FailedPreconditionError
        It does; names both digests.
    """
    expected = request.expected_settings_digest
    if expected not in {"", settings_digest}:
        raise _conflict(
            "expected_settings_digest",
            f"this oracle scores with settings {settings_digest}, not {expected}: "
            "a run is to stay on one scale; start a new run, or use the oracle of before",
        )


def _check_limits(request: oracle_pb2.ScoreRequest, limits: Mapping[str, float]) -> None:
    """Refuse numbers and lists beyond what the oracle describes for them."""
    settings = request.settings
    asked = {
        "settings.structure_timeout_s": settings.structure_timeout_s,
        "settings.relax.max_steps": settings.relax.max_steps,
        "known.num_atoms": len(request.known.num_atoms),
    }
    for field, value in asked.items():
        if field in limits and value > limits[field]:
            raise invalid_field(field, f"is {value:g}, more than {limits[field]:g}, this oracle's limit")


def _check_size(
    request: oracle_pb2.ScoreRequest, description: oracle_pb2.OracleServiceDescribeResponse
) -> None:
    count, most = len(request.crystals.num_atoms), description.max_batch
    if count > most:
        raise invalid_field(
            "crystals.num_atoms", f"holds {count} structures, more than {most}; send them in several requests"
        )
    check_bounded(request, entries=_MOST_NAMES, characters=_LONGEST_NAME, leave=("crystals", "known"))


def _check_numbers(settings: oracle_pb2.ScoreSettings) -> None:
    """Refuse numbers that mean nothing to any oracle."""
    sameness, relax = settings.sameness, settings.relax
    _check_enum("settings.sameness.metric", sameness.metric, oracle_pb2.SamenessMetric, "metric")
    _check_enum("settings.relax.algorithm", relax.algorithm, oracle_pb2.RelaxAlgorithm, "algorithm")
    _check_positive(settings, "structure_timeout_s", "settings")
    _check_positive(sameness, "amd_tolerance", "settings.sameness", least=0.0)
    for name in ("length_tolerance", "site_tolerance", "angle_tolerance"):
        _check_positive(sameness, name, "settings.sameness")
    for name in ("max_steps", "fmax"):
        _check_positive(relax, name, "settings.relax")
    if not math.isfinite(relax.pressure_gpa):
        raise invalid_field("settings.relax.pressure_gpa", f"is {relax.pressure_gpa:g}, expected GPa")


def _check_enum(field: str, number: int, enum: Any, what: str) -> None:
    if number not in enum.values():
        raise invalid_field(field, f"is {number}, no {what} that this version knows")


def _check_positive(message: Any, name: str, path: str, *, least: float = math.ulp(0.0)) -> None:
    value = getattr(message, name)
    if message.HasField(name) and not (math.isfinite(value) and value >= least):
        raise invalid_field(f"{path}.{name}", f"is {value:g}, expected a positive number")


def _check_served(request: oracle_pb2.ScoreRequest, asked: list[int], served: Collection[int]) -> None:
    if missing := [number for number in asked if number not in served]:
        named: list[int] = list(request.components)
        field = f"components[{named.index(missing[0])}]" if missing[0] in named else "components"
        raise _unserved(
            field, f"this oracle does not measure {_names(missing)}; ask for {_names(sorted(served))}"
        )


def _check_ids(
    settings: oracle_pb2.ScoreSettings, description: oracle_pb2.OracleServiceDescribeResponse
) -> oracle_pb2.CalculatorInfo | None:
    """Return the calculator that is asked for; None where there is none."""
    for field, described in (
        ("calculator_id", description.calculators),
        ("reference_id", description.references),
    ):
        asked, ids = getattr(settings, field), [entry.id for entry in described] or ["none"]
        if asked and asked not in ids:
            what = field.removesuffix("_id")
            raise _conflict(f"settings.{field}", f"this oracle's {what} is {' or '.join(ids)}, not {asked}")
    wanted = settings.calculator_id
    return next((c for c in description.calculators if wanted in {"", c.id}), None)


def _check_names(
    settings: oracle_pb2.ScoreSettings,
    description: oracle_pb2.OracleServiceDescribeResponse,
    calculator: oracle_pb2.CalculatorInfo | None,
    properties: Collection[str] | None,
) -> None:
    """Refuse settings, properties and second calculators that this oracle does not know by name."""
    known = set(calculator.settings) if calculator else set()
    for name in sorted(settings.calculator_settings.fields):
        if name not in known:
            whose = f"of {calculator.id} " if calculator else ""
            raise invalid_field(
                f"settings.calculator_settings.{name}",
                f"is no setting {whose}here; known: {', '.join(sorted(known)) or 'none'}",
            )
    described = {info.name for info in description.properties}
    for field, asked, names in (
        ("properties", settings.properties, described if properties is None else set(properties)),
        (
            "audit_calculator_ids",
            settings.audit_calculator_ids,
            {info.id for info in description.audit_calculators},
        ),
    ):
        for position, name in enumerate(asked):
            if name not in names:
                raise invalid_field(
                    f"settings.{field}[{position}]",
                    f"is {name!r}, which is none of {', '.join(sorted(names)) or 'none'}",
                )


def _check_relaxation(
    settings: oracle_pb2.ScoreSettings,
    asked: list[int],
    calculator: oracle_pb2.CalculatorInfo | None,
    algorithms: Collection[int],
) -> None:
    if not settings.HasField("relax"):
        return
    if _STABILITY not in asked:
        raise invalid_field("settings.relax", "needs COMPONENT_STABILITY among the components asked for")
    if calculator is None or not calculator.supports_relaxation:
        raise _unserved("settings.relax", "this oracle does not relax structures; score without `relax`")
    number = settings.relax.algorithm
    if number not in {oracle_pb2.RELAX_ALGORITHM_UNSPECIFIED, *algorithms}:
        name = oracle_pb2.RelaxAlgorithm.Name
        raise _unserved(
            "settings.relax.algorithm",
            f"this oracle relaxes by {' or '.join(map(_algorithm, sorted(algorithms)))}, not by "
            f"{name(number)}; leave the algorithm out",
        )


def _algorithm(number: int) -> str:
    return value_name(oracle_pb2.RelaxAlgorithm, number)


def _names(components: Iterable[int]) -> str:
    return ", ".join(map(component_name, components))


def _conflict(field: str, text: str) -> FailedPreconditionError:
    return FailedPreconditionError(text, violations=[FieldViolation(field=field, description=text)])


def _unserved(field: str, text: str) -> UnimplementedError:
    return UnimplementedError(text, violations=[FieldViolation(field=field, description=text)])
