"""Checks of a score's content: order, presence, physics."""

from collections.abc import Iterable

import numpy as np

from xenolith.conformance.check import Collection, expect, skip
from xenolith.conformance.comparison import not_finite, present
from xenolith.conformance.lab import Lab
from xenolith.contract.columns import COLUMNS, fields_of
from xenolith.contract.components import DEFAULT_COMPONENTS
from xenolith.contract.names import component_name, status_name
from xenolith.crystal import Crystal
from xenolith.v1 import crystal_pb2, oracle_pb2

__all__ = ["CHECKS"]

CHECKS = Collection("scores")
_OK = crystal_pb2.STRUCTURE_STATUS_OK
_NO_REFERENCE = crystal_pb2.STRUCTURE_STATUS_NO_REFERENCE
_DEFAULT = frozenset(DEFAULT_COMPONENTS)
_DECISIVE = {oracle_pb2.COMPONENT_CONTINUOUS: "continuous_novelty"}
"""What an OK means, where it is not the component's first field (the other one needs two structures)."""


@CHECKS.check("good-crystals", "Textbook crystals of covered elements are valid, and measured.")
def _good(lab: Lab) -> None:
    for index, score in enumerate(lab.baseline.scores):
        expect(score.status in {_OK, _NO_REFERENCE}, f"{_told(lab, index)} is {_state(score)}")
        expect(score.HasField("valid") and score.valid, f"{_told(lab, index)} is not valid")


@CHECKS.check("order", "Scores come in the order of the request.")
def _order(lab: Lab) -> None:
    for index, (crystal, score) in enumerate(zip(lab.crystals, lab.baseline.scores, strict=True)):
        expect(
            score.formula == crystal.formula,
            f"score {index} has formula {score.formula!r}, structure {index} is {crystal.formula!r}",
        )


@CHECKS.check("empty-request", "A request without structures is answered without scores, with provenance.")
def _empty(lab: Lab) -> None:
    response = lab.score([], [oracle_pb2.COMPONENT_VALIDITY])
    expect(response.provenance.settings_digest, "provenance.settings_digest is empty")


@CHECKS.check(
    "components", "Each component asked for, and validity, is reported once, with status and message."
)
def _components(lab: Lab) -> None:
    for asked in ([], [oracle_pb2.COMPONENT_VALIDITY], lab.components):
        if not asked and not set(lab.description.components) >= _DEFAULT:
            continue
        wanted = (set(asked) or _DEFAULT) | {oracle_pb2.COMPONENT_VALIDITY}
        response = lab.baseline if asked == lab.components else lab.score([lab.good], asked)
        for score in response.scores:
            reported = [result.component for result in score.components]
            expect(
                sorted(reported) == sorted(wanted),
                f"asked for {_names(wanted)}, reported {_names(reported)}",
            )
            for result in score.components:
                where = f"component {component_name(result.component)}"
                expect(result.status != 0, f"{where} has no status")
                expect(
                    (result.status == _OK) == (not result.message),
                    f"{where} is {status_name(result.status)} with message {result.message!r}; a message "
                    "goes with everything but OK",
                )


@CHECKS.check("status", "The status is OK if all components are, else that of the first that is not.")
def _status(lab: Lab) -> None:
    for index, score in enumerate(lab.baseline.scores):
        ranked = sorted(score.components, key=lambda result: result.component)
        first = next((result.status for result in ranked if result.status != _OK), _OK)
        expect(
            score.status == first,
            f"{_told(lab, index)} is {status_name(score.status)}, its components say {status_name(first)}",
        )
        expect(
            (score.status == _OK) == (not score.message), f"{_state(score)} with message {score.message!r}"
        )


@CHECKS.check("absent-is-not-zero", "What was not asked for is absent, never 0.")
def _absent(lab: Lab) -> None:
    score = lab.score([lab.good], [oracle_pb2.COMPONENT_VALIDITY]).scores[0]
    extra = [name for name in present(score) if COLUMNS[name].component != oracle_pb2.COMPONENT_VALIDITY]
    expect(not extra, f"validity alone was asked for, but {', '.join(extra)} are present")


@CHECKS.check("measured-is-present", "A component that is OK has its measurement, so that 0 means 0.")
def _present(lab: Lab) -> None:
    for index, score in enumerate(lab.baseline.scores):
        there = set(present(score))
        for result in score.components:
            field = _DECISIVE.get(result.component) or fields_of(result.component)[0]
            if result.status == _OK:
                missing = [] if field in there else [field]
                expect(
                    not missing,
                    f"{_told(lab, index)}: {component_name(result.component)} is OK, "
                    f"but has no {missing[:1]}",
                )
        expect(
            score.unique != score.HasField("duplicate_of") or not score.HasField("unique"),
            f"{_told(lab, index)}: unique is {score.unique}, duplicate_of is "
            f"{'present' if score.HasField('duplicate_of') else 'absent'}",
        )


@CHECKS.check("finite", "No value is NaN or infinite: what could not be measured is absent.")
def _finite(lab: Lab) -> None:
    for index, score in enumerate(lab.baseline.scores):
        bad = not_finite(score)
        expect(not bad, f"{_told(lab, index)}: {', '.join(bad)} is not finite")


@CHECKS.check("geometry", "Volume per atom and smallest distance are those of the crystal, in Angstrom.")
def _geometry(lab: Lab) -> None:
    for index, (crystal, score) in enumerate(zip(lab.crystals, lab.baseline.scores, strict=True)):
        for name, right in (
            ("volume_per_atom", crystal.volume / crystal.num_atoms),
            ("min_distance", _smallest_distance(crystal)),
        ):
            value = getattr(score, name)
            expect(
                not score.HasField(name) or abs(value - right) <= 1e-3 * right,
                f"{_told(lab, index)}: {name} is {value:.6g}, the crystal's is {right:.6g}",
            )


@CHECKS.check("hull", "A distance to the hull goes with an energy.")
def _hull(lab: Lab) -> None:
    lab.needs(oracle_pb2.COMPONENT_STABILITY)
    if not any(reference.hull_id for reference in lab.description.references):
        skip("this oracle has no hull")
    expect(
        any(score.HasField("e_above_hull") for score in lab.baseline.scores),
        "there is a hull, but no crystal of its elements has an e_above_hull",
    )
    for index, score in enumerate(lab.baseline.scores):
        expect(
            score.HasField("energy_per_atom") or not score.HasField("e_above_hull"),
            f"{_told(lab, index)} has e_above_hull without energy_per_atom",
        )


@CHECKS.check("on-demand", "AMD vectors and embeddings come when they are asked for, if the oracle has them.")
def _on_demand(lab: Lab) -> None:
    lab.needs(oracle_pb2.COMPONENT_NOVELTY)
    score = lab.score([lab.good], [oracle_pb2.COMPONENT_NOVELTY], return_amd=True).scores[0]
    expect(len(score.amd) > 0, "return_amd was set, but amd is empty")
    expect(all(np.diff(np.array(score.amd)) >= -1e-4), "an AMD vector never decreases, this one does")


def _smallest_distance(crystal: Crystal) -> float:
    """By brute force over the images of a small, compact cell."""
    images = np.array(list(np.ndindex(7, 7, 7))) - 3
    gaps = crystal.frac_coords[:, None] - crystal.frac_coords[None]
    distances = np.linalg.norm((gaps[:, :, None] + images) @ crystal.lattice, axis=-1)
    return float(distances[distances > 1e-8].min())


def _told(lab: Lab, index: int) -> str:
    return f"structure {index} ({lab.crystals[index].formula})"


def _state(score: oracle_pb2.StructureScore) -> str:
    return f"{status_name(score.status)} ({score.message})" if score.message else status_name(score.status)


def _names(components: Iterable[int]) -> str:
    return ", ".join(map(component_name, sorted(components))) or "nothing"
