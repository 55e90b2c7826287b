"""Checks of an oracle's description of itself, and of the standard services beside it."""

import math

import grpc
from grpc_health.v1 import health_pb2

from xenolith.conformance.check import Collection, expect, fail, skip
from xenolith.conformance.lab import Lab
from xenolith.contract.names import component_name
from xenolith.v1 import oracle_pb2

__all__ = ["CHECKS"]

CHECKS = Collection("describe")
_SERVICE = "xenolith.v1.OracleService"


@CHECKS.check(
    "components", "Describe lists the components that are served, validity among them, and a version."
)
def _components(lab: Lab) -> None:
    described = lab.description
    expect(described.service_version, "service_version is empty")
    numbers = list(described.components)
    expect(
        len(numbers) == len(set(numbers)),
        f"a component is listed twice: {list(map(component_name, numbers))}",
    )
    unknown = [number for number in numbers if number not in oracle_pb2.Component.values() or number == 0]
    expect(not unknown, f"components holds {unknown}, which are no components")
    expect(
        oracle_pb2.COMPONENT_VALIDITY in numbers,
        "validity is not among the components, but it is always evaluated",
    )


@CHECKS.check("limits", "Describe says how many atoms and structures are taken, and limits that can be met.")
def _limits(lab: Lab) -> None:
    described, limits = lab.description, lab.description.validity_limits
    expect(described.max_atoms >= 1, f"max_atoms is {described.max_atoms}: no structure could be scored")
    expect(described.max_batch >= 1, f"max_batch is {described.max_batch}: no request could be scored")
    values = {field.name: value for field, value in limits.ListFields()}
    bad = {name: value for name, value in values.items() if not math.isfinite(value) or value < 0}
    expect(not bad, f"validity_limits holds {bad}; a limit is a finite number, and left out if there is none")
    for low, high in (("min_density", "max_density"), ("min_volume_per_atom", "max_volume_per_atom")):
        if low in values and high in values:
            expect(values[low] < values[high], f"{low} {values[low]} is not below {high} {values[high]}")


@CHECKS.check(
    "calculators",
    "An oracle that measures stability names its calculators, their versions and their elements.",
)
def _calculators(lab: Lab) -> None:
    lab.needs(oracle_pb2.COMPONENT_STABILITY)
    calculators = lab.description.calculators
    expect(calculators, "stability is served, but no calculator is listed")
    ids = [calculator.id for calculator in calculators]
    expect(len(ids) == len(set(ids)), f"two calculators share an id: {ids}")
    for position, calculator in enumerate(calculators):
        where = f"calculators[{position}] ({calculator.id})"
        expect(calculator.id, f"calculators[{position}].id is empty")
        expect(calculator.version, f"{where}: version is empty")
        expect(calculator.scheme, f"{where}: scheme is empty, and energies of two schemes never share a hull")
        elements = list(calculator.elements)
        expect(elements, f"{where}: elements is empty")
        wrong = [number for number in elements if not 1 <= number <= 118]
        expect(not wrong, f"{where}: elements holds {wrong}, which are no elements")
        expect(len(elements) == len(set(elements)), f"{where}: an element is listed twice")


@CHECKS.check(
    "references", "References have ids and sizes, and a hull names the calculator whose energies made it."
)
def _references(lab: Lab) -> None:
    references = lab.description.references
    if not references:
        expect(
            not lab.serves(oracle_pb2.COMPONENT_NOVELTY),
            "novelty is served, but no reference is listed: novel with respect to what?",
        )
        skip("this oracle has no reference")
    ids = [reference.id for reference in references]
    expect(all(ids), "a reference has no id")
    expect(len(ids) == len(set(ids)), f"two references share an id: {ids}")
    for reference in references:
        expect(reference.num_structures >= 0, f"{reference.id}: num_structures is {reference.num_structures}")
        if reference.hull_id:
            expect(
                reference.hull_calculator_id,
                f"{reference.id}: its hull does not say which calculator made it",
            )
            expect(reference.hull_elements, f"{reference.id}: its hull has no elements")


@CHECKS.check("properties", "Properties are listed by unique names if, and only if, properties are served.")
def _properties(lab: Lab) -> None:
    names = [info.name for info in lab.description.properties]
    served = lab.serves(oracle_pb2.COMPONENT_PROPERTIES)
    expect(served == bool(names), f"properties are {'' if served else 'not '}served, but {names} are listed")
    expect(all(names), "a property has no name")
    expect(len(names) == len(set(names)), f"two properties share a name: {names}")


@CHECKS.check("stable", "Describe answers the same twice.")
def _stable(lab: Lab) -> None:
    first, second = lab.describe(), lab.describe()
    changed = [
        field.name
        for field in first.DESCRIPTOR.fields
        if getattr(first, field.name) != getattr(second, field.name)
    ]
    expect(not changed, f"between two calls these changed: {', '.join(changed)}")


@CHECKS.check("health", "grpc.health.v1 answers SERVING for the process and for the service by name.")
def _health(lab: Lab) -> None:
    check = lab.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    for service in ("", _SERVICE):
        answer = lab.call(check, health_pb2.HealthCheckRequest(service=service))
        state = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        expect(state == "SERVING", f"health of {service or 'the process'!r} is {state}")


@CHECKS.check("reflection", "Server reflection lists xenolith.v1.OracleService.")
def _reflection(lab: Lab) -> None:
    list_services = b"\x3a\x00"  # ServerReflectionRequest{list_services: ""}, the same in v1 and v1alpha
    ended: list[str] = []
    for version in ("v1", "v1alpha"):
        method = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        call = lab.channel.stream_stream(method, request_serializer=bytes, response_deserializer=bytes)
        try:
            answers = list(call(iter([list_services]), timeout=lab.timeout_s, metadata=lab.metadata()))
        except grpc.RpcError as error:
            ended.append(f"{version} {error.code().name}")
            continue
        expect(
            any(_SERVICE.encode() in answer for answer in answers),
            f"reflection {version} answers, but does not list {_SERVICE}",
        )
        return
    fail(f"reflection is not served ({', '.join(ended)}): tools such as grpcurl cannot look at the service")
