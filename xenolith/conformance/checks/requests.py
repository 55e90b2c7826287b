"""Requests that are wrong in themselves, or ask for what is not there: refused, with the field at fault."""

import math
from collections.abc import Callable

import grpc

from xenolith.conformance._check import Collection, expect, skip
from xenolith.conformance._lab import Lab
from xenolith.conformance._words import status_name
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


def _names_field(error: XenolithError, field: str) -> None:
    fields = [violation.field for violation in error.violations]
    expect(
        any(field in name for name in fields),
        f"the error names {fields or 'no field'}, expected a google.rpc.BadRequest that names {field}",
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


_COLUMNS: tuple[tuple[str, str, str, Callable[[oracle_pb2.ScoreRequest], None]], ...] = (
    ("numbers", "crystals.numbers", "too many atomic numbers", _break_numbers),
    ("lattices", "crystals.lattices", "eight numbers for a cell", _break_lattices),
    ("coordinates", "crystals.frac_coords", "a coordinate too few", _break_coords),
    ("atom-counts", "crystals.num_atoms", "a negative number of atoms", _break_num_atoms),
    ("atoms-declared", "crystals.n", "two billion atoms declared and two sent", _claim_millions),
)


def _column(field: str, change: Callable[[oracle_pb2.ScoreRequest], None]) -> Callable[[Lab], None]:
    def body(lab: Lab) -> None:
        request = _request(lab)
        change(request)
        _names_field(_refused(lab, request, _INVALID), field)

    return body


for _name, _field, _what, _change in _COLUMNS:
    CHECKS.check(
        f"columns-{_name}",
        f"Columns that do not fit together ({_what}) are INVALID_ARGUMENT, and the column is named.",
    )(_column(_field, _change))


@CHECKS.check("unknown-component", "A component that does not exist is INVALID_ARGUMENT.")
def _unknown_component(lab: Lab) -> None:
    for number in (99, 0):
        request = _request(lab)
        request.components.append(number)  # type: ignore[arg-type]
        _refused(lab, request, _INVALID)


@CHECKS.check(
    "unserved-component",
    "A component that Describe does not list is refused, and the message helps.",
)
def _unserved_component(lab: Lab) -> None:
    unserved = sorted(set(oracle_pb2.Component.values()) - set(lab.description.components) - {0})
    if not unserved:
        skip("this oracle serves every component")
    for number in unserved:
        request = lab.request([lab.good], [number])
        _refused(lab, request, grpc.StatusCode.UNIMPLEMENTED, _CONFLICT, _INVALID)


@CHECKS.check("unknown-calculator", "A calculator or reference that is not there is refused by name.")
def _unknown_calculator(lab: Lab) -> None:
    for field in ("calculator_id", "reference_id"):
        request = _request(lab)
        setattr(request.settings, field, "no-such-thing-7")
        error = _refused(lab, request, _CONFLICT, _INVALID, grpc.StatusCode.NOT_FOUND)
        expect("no-such-thing-7" in str(error), f"the message does not name the {field} asked for: {error}")


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


@CHECKS.check("settings-values", "Settings out of range are INVALID_ARGUMENT, and the field is named.")
def _settings(lab: Lab) -> None:
    for value in (0.0, -1.0, math.nan):
        request = _request(lab)
        request.settings.structure_timeout_s = value
        _names_field(_refused(lab, request, _INVALID), "structure_timeout_s")
    for value in (-0.1, math.nan):
        request = _request(lab)
        request.settings.sameness.amd_tolerance = value
        _names_field(_refused(lab, request, _INVALID), "amd_tolerance")


@CHECKS.check("unknown-metric", "A way to judge sameness that does not exist is INVALID_ARGUMENT.")
def _metric(lab: Lab) -> None:
    request = _request(lab)
    request.settings.sameness.metric = 99  # type: ignore[assignment]
    _refused(lab, request, _INVALID)


@CHECKS.check(
    "unknown-calculator-setting", "A calculator's setting that Describe does not list is INVALID_ARGUMENT."
)
def _calculator_setting(lab: Lab) -> None:
    request = _request(lab)
    request.settings.calculator_settings.update({"no_such_setting": 1.0})
    _refused(lab, request, _INVALID)


@CHECKS.check(
    "unserved-relaxation", "Relaxation by a calculator that does not relax is refused, and the message helps."
)
def _relaxation(lab: Lab) -> None:
    if lab.description.calculators and lab.description.calculators[0].supports_relaxation:
        skip("the default calculator relaxes")
    request = _request(lab)
    request.settings.relax.SetInParent()
    _refused(lab, request, grpc.StatusCode.UNIMPLEMENTED, _CONFLICT, _INVALID)


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
