"""The limits that Describe names are the limits."""

import grpc
import numpy as np

from xenolith.conformance.check import Collection, expect, skip
from xenolith.conformance.lab import Lab
from xenolith.contract.names import status_name
from xenolith.crystal import Crystal
from xenolith.v1 import crystal_pb2, oracle_pb2

__all__ = ["CHECKS"]

CHECKS = Collection("limits")
_VALIDITY = oracle_pb2.COMPONENT_VALIDITY
_TOO_LARGE = crystal_pb2.STRUCTURE_STATUS_TOO_LARGE
_MOST_ATOMS = 20_000
_MOST_STRUCTURES = 200_000


@CHECKS.check("max-atoms", "A structure of more than max_atoms atoms is TOO_LARGE; one of max_atoms is not.")
def _max_atoms(lab: Lab) -> None:
    most = lab.description.max_atoms
    if most > _MOST_ATOMS:
        skip(f"max_atoms is {most}")
    scores = lab.score([_grid(lab, most), _grid(lab, most + 1), lab.good], [_VALIDITY]).scores
    expect(
        scores[0].status != _TOO_LARGE,
        f"max_atoms is {most}, but a structure of {most} atoms is TOO_LARGE: {scores[0].message}",
    )
    expect(
        scores[1].status == _TOO_LARGE,
        f"max_atoms is {most}, but a structure of {most + 1} atoms is {status_name(scores[1].status)}",
    )
    expect(scores[2].valid, f"its good neighbour is {status_name(scores[2].status)}: {scores[2].message}")


@CHECKS.check(
    "a-million-atoms", "A structure of a million atoms is TOO_LARGE, and its neighbours are scored."
)
def _million(lab: Lab) -> None:
    if lab.description.max_atoms >= 10**6:
        skip(f"max_atoms is {lab.description.max_atoms}")
    if lab.quick:
        skip("a message of 25 MB is left out when checks are to be quick")
    try:
        scores = lab.score([lab.good, _grid(lab, 10**6), lab.good], [_VALIDITY]).scores
    except AssertionError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        skip("the service takes no message of 25 MB")
    expect(
        scores[1].status == _TOO_LARGE,
        f"a structure of a million atoms is {status_name(scores[1].status)}",
    )
    expect(scores[0].valid and scores[2].valid, "a neighbour of a structure of a million atoms is not valid")


@CHECKS.check("max-batch", "A request of more than max_batch structures is INVALID_ARGUMENT.")
def _max_batch(lab: Lab) -> None:
    most = lab.description.max_batch
    if most > _MOST_STRUCTURES:
        skip(f"max_batch is {most}")
    error = lab.refusal(lab.stub.Score, lab.request([lab.good] * (most + 1), [_VALIDITY]))
    expect(
        error.code == grpc.StatusCode.INVALID_ARGUMENT,
        f"{most + 1} structures are refused as {error.code.name} ({error}), expected INVALID_ARGUMENT",
    )
    expect(str(most) in str(error), f"the message does not name the limit {most}: {error}")
    fields = [violation.field for violation in error.violations]
    expect(
        fields == ["crystals.num_atoms"],
        f"the error names {', '.join(fields) or 'no field'}, expected crystals.num_atoms",
    )


@CHECKS.check("whole-batch", "A request of max_batch structures is answered.")
def _whole_batch(lab: Lab) -> None:
    most = lab.description.max_batch
    if most > _MOST_STRUCTURES:
        skip(f"max_batch is {most}")
    few = min(most, 20)
    empty = Crystal(lattice=np.eye(3), numbers=np.zeros(0, np.int32), frac_coords=np.zeros((0, 3)))
    scores = lab.score([empty] * (most - few) + [lab.good] * few, [_VALIDITY]).scores
    expect(all(score.valid for score in scores[-few:]), "copies of a valid crystal are not all valid")


def _grid(lab: Lab, atoms: int) -> Crystal:
    """Atoms of one element on a primitive cubic grid, spaced 3 Angstrom."""
    edge = int(np.ceil(atoms ** (1 / 3) - 1e-9))
    sites = np.stack(np.unravel_index(np.arange(atoms), (edge, edge, edge)), axis=1)
    return Crystal(
        lattice=3.0 * edge * np.eye(3),
        numbers=np.full(atoms, lab.good.numbers[0]),
        frac_coords=sites / edge,
    )
