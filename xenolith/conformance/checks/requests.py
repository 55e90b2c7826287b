"""Requests that are wrong in themselves, or ask for what is not there: refused, with the field at fault."""

import functools
import math
from collections.abc import Callable

import grpc

from xenolith.conformance.check import Collection, expect, skip
from xenolith.conformance.lab import Lab
from xenolith.contract.names import status_name
from xenolith.errors import XenolithError
from xenolith.v1 import crystal_pb2, oracle_pb2

__all__ = ["CHECKS"]

CHECKS = Collection("requests")
_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_CONFLICT = grpc.StatusCode.FAILED_PRECONDITION
_VALIDITY = oracle_pb2.COMPONENT_VALIDITY


def _request(lab: Lab) -> oracle_pb2.ScoreRequest:
    return lab.request([lab.good, lab.good], [_VALIDITY])


def _refused(lab: Lab, request: oracle_pb2.ScoreRequest, *codes: grpc.StatusCode) -> XenolithError:
    error = lab.refusal(lab.stub.Score, request)
    wanted = " or ".join(code.name for code in codes)
    expect(error.code in codes, f"refused as {error.code.name} ({error}), expected {wanted}")
    expect(str(error).strip(), f"refused as {error.code.name} without a message: what is the caller to do?")
    return error


def _names_field(error: XenolithError, *allowed: str) -> None:
    """Fail unless the error's google.rpc.BadRequest names a field by one of these paths, and no other."""
    fields = [violation.field for violation in error.violations]
    expect(
        bool(fields) and all(field in allowed for field in fields),
        f"the error names {', '.join(fields) or 'no field'}, expected a google.rpc.BadRequest that names "
        f"{' or '.join(allowed)}",
    )


def _break_numbers(request: oracle_pb2.ScoreRequest) -> None:
    request.crystals.numbers.append(8)


def _break_lattices(request: oracle_pb2.ScoreRequest) -> None:
    del request.crystals.lattices[-1]


def _break_coords(request: oracle_pb2.ScoreRequest) -> None:
    del request.crystals.frac_coords[-3:]


def _break_num_atoms(request: oracle_pb2.ScoreRequest) -> None:
    request.crystals.num_atoms[0] = -1


def _claim_millions(request: oracle_pb2.ScoreRequest) -> None:
    request.crystals.num_atoms[0] = 2**31 - 1


_COLUMNS: tuple[tuple[str, tuple[str, ...], str, Callable[[oracle_pb2.ScoreRequest], None]], ...] = (
    ("numbers", ("crystals.numbers",), "too many atomic numbers", _break_numbers),
    ("lattices", ("crystals.lattices",), "eight numbers for a cell", _break_lattices),
    ("coordinates", ("crystals.frac_coords",), "a coordinate too few", _break_coords),
    ("atom-counts", ("crystals.num_atoms",), "a negative number of atoms", _break_num_atoms),
    # Counts and numbers contradict each other: either may be the one that is wrong.
    (
        "atoms-declared",
        ("crystals.numbers", "crystals.num_atoms"),
        "two billion atoms declared and two sent",
        _claim_millions,
    ),
)


def _column(
    fields: tuple[str, ...], change: Callable[[oracle_pb2.ScoreRequest], None]
) -> Callable[[Lab], None]:
    def body(lab: Lab) -> None:
        request = _request(lab)
        change(request)
        _names_field(_refused(lab, request, _INVALID), *fields)

    return body


for _name, _fields, _what, _change in _COLUMNS:
    CHECKS.check(
        f"columns-{_name}",
        f"Columns that do not fit together ({_what}) are INVALID_ARGUMENT, and the column is named.",
    )(_column(_fields, _change))


@CHECKS.check(
    "columns-known",
    "Columns of known crystals that do not fit together are INVALID_ARGUMENT, and the column is named.",
)
def _known(lab: Lab) -> None:
    lab.needs(oracle_pb2.COMPONENT_NOVELTY)
    request = lab.request([lab.good], [oracle_pb2.COMPONENT_NOVELTY])
    request.known.CopyFrom(request.crystals)
    request.known.numbers.append(8)
    _names_field(_refused(lab, request, _INVALID), "known.numbers")


@CHECKS.check("unknown-component", "A component that does not exist is INVALID_ARGUMENT, and is named.")
def _unknown_component(lab: Lab) -> None:
    for number in (99, 0):
        request = _request(lab)
        request.components.append(number)  # type: ignore[arg-type]
        _names_field(_refused(lab, request, _INVALID), "components[1]")


@CHECKS.check(
    "unserved-component",
    "A component that Describe does not list is refused, and its place in the request is named.",
)
def _unserved_component(lab: Lab) -> None:
    unserved = sorted(set(oracle_pb2.Component.values()) - set(lab.description.components) - {0})
    if not unserved:
        skip("this oracle serves every component")
    for number in unserved:
        request = lab.request([lab.good], [_VALIDITY, number])
        error = _refused(lab, request, grpc.StatusCode.UNIMPLEMENTED, _CONFLICT, _INVALID)
        _names_field(error, "components[1]")


@CHECKS.check("unknown-calculator", "A calculator or reference that is not there is refused by name.")
def _unknown_calculator(lab: Lab) -> None:
    for field in ("calculator_id", "reference_id"):
        request = _request(lab)
        setattr(request.settings, field, "no-such-thing-7")
        error = _refused(lab, request, _CONFLICT, _INVALID, grpc.StatusCode.NOT_FOUND)
        expect("no-such-thing-7" in str(error), f"the message does not name the {field} asked for: {error}")
        _names_field(error, f"settings.{field}")


@CHECKS.check(
    "named-calculator", "The calculator and the reference that Describe lists first may be asked for by id."
)
def _named_calculator(lab: Lab) -> None:
    request = _request(lab)
    if lab.description.calculators:
        request.settings.calculator_id = lab.description.calculators[0].id
    if lab.description.references:
        request.settings.reference_id = lab.description.references[0].id
    lab.answer(request)


_VALUES: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("settings.structure_timeout_s", (0.0, -1.0, math.nan)),
    ("settings.sameness.amd_tolerance", (-0.1, math.nan)),
    ("settings.sameness.length_tolerance", (0.0, math.nan)),
    ("settings.sameness.site_tolerance", (-1.0,)),
    ("settings.sameness.angle_tolerance", (math.inf,)),
    ("settings.relax.max_steps", (0, -1)),
    ("settings.relax.fmax", (0.0, -1.0, math.nan)),
    ("settings.relax.pressure_gpa", (math.nan, math.inf)),
)


@CHECKS.check("settings-values", "Settings out of range are INVALID_ARGUMENT, and the field is named.")
def _settings(lab: Lab) -> None:
    for path, values in _VALUES:
        for value in values:
            request = lab.request([lab.good], [_VALIDITY, *_stability(lab)])
            *parents, name = path.split(".")
            setattr(functools.reduce(getattr, parents, request), name, value)
            _names_field(_refused(lab, request, _INVALID), path)


def _stability(lab: Lab) -> list[int]:
    """Return the component that a relaxation needs, where it is served."""
    return [oracle_pb2.COMPONENT_STABILITY] if lab.serves(oracle_pb2.COMPONENT_STABILITY) else []


@CHECKS.check(
    "unknown-metric", "A way to judge sameness that does not exist is INVALID_ARGUMENT, and is named."
)
def _metric(lab: Lab) -> None:
    request = _request(lab)
    request.settings.sameness.metric = 99  # type: ignore[assignment]
    _names_field(_refused(lab, request, _INVALID), "settings.sameness.metric")


@CHECKS.check(
    "unknown-calculator-setting",
    "A calculator's setting that Describe does not list is INVALID_ARGUMENT, and is named.",
)
def _calculator_setting(lab: Lab) -> None:
    request = _request(lab)
    request.settings.calculator_settings.update({"no_such_setting": 1.0})
    error = _refused(lab, request, _INVALID)
    _names_field(error, "settings.calculator_settings.no_such_setting")


@CHECKS.check(
    "unknown-names",
    "A property or second calculator that Describe does not list is INVALID_ARGUMENT, and is named.",
)
def _names(lab: Lab) -> None:
    for name in ("properties", "audit_calculator_ids"):
        request = _request(lab)
        getattr(request.settings, name).append("no-such-thing-7")
        _names_field(_refused(lab, request, _INVALID), f"settings.{name}[0]")


@CHECKS.check(
    "relaxation-without-stability",
    "Relaxation without COMPONENT_STABILITY is INVALID_ARGUMENT, and the field is named.",
)
def _without_stability(lab: Lab) -> None:
    request = _request(lab)
    request.settings.relax.SetInParent()
    _names_field(_refused(lab, request, _INVALID), "settings.relax")


@CHECKS.check(
    "unserved-relaxation", "Relaxation by a calculator that does not relax is refused, and the message helps."
)
def _relaxation(lab: Lab) -> None:
    if lab.description.calculators and lab.description.calculators[0].supports_relaxation:
        skip("the default calculator relaxes")
    request = lab.request([lab.good], [_VALIDITY, *_stability(lab)])
    request.settings.relax.SetInParent()
    error = _refused(lab, request, grpc.StatusCode.UNIMPLEMENTED, _CONFLICT, _INVALID)
    _names_field(error, "settings.relax")


@CHECKS.check(
    "disorder", "Disordered structures are refused or DISORDERED, and never taken for ordered ones."
)
def _disorder(lab: Lab) -> None:
    request = _request(lab)
    sites = len(request.crystals.numbers)
    first = int(request.crystals.numbers[0])
    other = next(int(z) for z in (*lab.crystals[-1].numbers, 1, 2) if int(z) != first)
    occupancies = request.crystals.occupancies
    occupancies.species_per_site.extend([2] + [1] * (sites - 1))
    occupancies.numbers.extend([first, other, *request.crystals.numbers[1:]])
    occupancies.fractions.extend([0.6, 0.4] + [1.0] * (sites - 1))
    try:
        response = lab.try_call(lab.stub.Score, request)
    except XenolithError as error:
        allowed = {_INVALID, grpc.StatusCode.UNIMPLEMENTED}
        expect(error.code in allowed, f"refused as {error.code.name} ({error}), expected INVALID_ARGUMENT")
        _names_field(error, "crystals.occupancies")
        return
    status = response.scores[0].status
    expect(
        status == crystal_pb2.STRUCTURE_STATUS_DISORDERED,
        f"a structure with a mixed site is {status_name(status)}, expected DISORDERED, or INVALID_ARGUMENT",
    )


@CHECKS.check(
    "expected-digest", "A request for another settings_digest is FAILED_PRECONDITION, and names both digests."
)
def _digest(lab: Lab) -> None:
    request = _request(lab)
    actual = lab.answer(request).provenance.settings_digest
    request.expected_settings_digest = actual
    again = lab.answer(request).provenance.settings_digest
    expect(again == actual, f"asked to score with settings {actual}, it did with {again}")
    wrong = "0123456789abcdef" * 4
    request.expected_settings_digest = wrong
    error = _refused(lab, request, _CONFLICT)
    for digest in (wrong, actual):
        expect(digest in str(error), f"the message does not name the digest {digest}: {error}")
    _names_field(error, "expected_settings_digest")
