"""An oracle in a hundred lines: ASE's effective-medium theory of seven metals and their alloys.

    pip install 'xenolith[ase,serving]'
    python examples/example_oracle/oracle.py --port 50052
    xenolith conformance --target localhost:50052

Distances to the hull are those to the pure fcc metals, the only phases that it knows.
"""

import argparse
import asyncio
import hashlib
import importlib.metadata
from collections.abc import AsyncIterator
from typing import Any

import ase
import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT, parameters
from ase.data import atomic_numbers
from ase.neighborlist import neighbor_list

from xenolith import Crystal, serving
from xenolith.contract.structure_messages import StructureMessage
from xenolith.contract.wire import batch_from_proto
from xenolith.convert import to_ase
from xenolith.errors import UnimplementedError
from xenolith.v1 import crystal_pb2, oracle_pb2, oracle_pb2_grpc

METALS = ("Al", "Cu", "Ag", "Au", "Ni", "Pd", "Pt")
MAX_ATOMS, MIN_DISTANCE, MIN_EDGE, MAX_EDGE = 200, 0.8, 0.5, 200.0  # Angstrom
STABILITY = oracle_pb2.COMPONENT_STABILITY
SETTINGS = f"emt {ase.__version__} {sorted(parameters)} {MAX_ATOMS} {MIN_DISTANCE} {MIN_EDGE} {MAX_EDGE}"
DIGEST = hashlib.sha256(SETTINGS.encode()).hexdigest()
Status = crystal_pb2.StructureStatus


def energy_per_atom(atoms: ase.Atoms) -> float:
    atoms.calc = EMT()
    return float(atoms.get_potential_energy() / len(atoms))


REFERENCE = {atomic_numbers[metal]: energy_per_atom(bulk(metal)) for metal in METALS}
DESCRIPTION = oracle_pb2.OracleServiceDescribeResponse(
    service_version=importlib.metadata.version("xenolith"),
    components=[oracle_pb2.COMPONENT_VALIDITY, STABILITY],
    calculators=[
        oracle_pb2.CalculatorInfo(id="emt", version=ase.__version__, scheme="EMT", elements=sorted(REFERENCE))
    ],
    references=[
        oracle_pb2.ReferenceInfo(
            id="fcc-metals",
            num_structures=len(REFERENCE),
            hull_id="emt-fcc-metals",
            hull_calculator_id="emt",
            hull_elements=sorted(REFERENCE),
        )
    ],
    max_atoms=MAX_ATOMS,
    max_batch=1000,
    validity_limits=oracle_pb2.ValidityLimits(min_distance=MIN_DISTANCE),
    cache_backend="none",
)


def problem(crystal: Crystal) -> tuple[int, str]:
    """Return why a structure cannot be measured: a status and its reason, or OK."""
    if not 0 < crystal.num_atoms <= MAX_ATOMS:
        status = Status.STRUCTURE_STATUS_TOO_LARGE if crystal.num_atoms else Status.STRUCTURE_STATUS_MALFORMED
        return status, f"{crystal.num_atoms} atoms; 1 to {MAX_ATOMS} are measured"
    if not (np.isfinite(crystal.lattice).all() and (np.abs(crystal.frac_coords) < 1e6).all()):
        return (
            Status.STRUCTURE_STATUS_NONFINITE,
            "its cell or coordinates hold NaN, infinity or a huge number",
        )
    if unknown := set(crystal.numbers.tolist()) - set(REFERENCE):
        return Status.STRUCTURE_STATUS_UNSUPPORTED_ELEMENT, f"not covered: atomic numbers {sorted(unknown)}"
    longest, _, shortest = np.linalg.svd(crystal.lattice, compute_uv=False)
    if not MIN_EDGE < shortest <= longest < MAX_EDGE:
        return (
            Status.STRUCTURE_STATUS_BAD_CELL,
            f"its cell is flat or absurd: {shortest:.3g} to {longest:.3g} A",
        )
    distances = neighbor_list("d", to_ase(crystal), MIN_DISTANCE)
    if len(distances):
        return Status.STRUCTURE_STATUS_TOO_CLOSE, f"two atoms are {distances.min():.2f} A apart"
    return Status.STRUCTURE_STATUS_OK, ""


def score_one(index: int, crystal: Crystal, components: list[int]) -> oracle_pb2.StructureScore:
    status, reason = problem(crystal)
    message = StructureMessage.about(index, reason)
    score = oracle_pb2.StructureScore(status=status, formula=crystal.formula, valid=not reason)
    message.fill(score)
    message.fill(score.components.add(component=oracle_pb2.COMPONENT_VALIDITY, status=status))
    if STABILITY in components and not score.valid:
        skipped = score.components.add(component=STABILITY, status=Status.STRUCTURE_STATUS_SKIPPED)
        StructureMessage(index, " is not valid").fill(skipped)
    elif STABILITY in components:
        score.components.add(component=STABILITY, status=status)
        score.energy_per_atom = energy_per_atom(to_ase(crystal))
        pure = float(np.mean([REFERENCE[number] for number in crystal.numbers.tolist()]))
        score.formation_energy_per_atom = score.e_above_hull = score.energy_per_atom - pure
    return score


class ExampleOracle(oracle_pb2_grpc.OracleServiceServicer):
    def __init__(self) -> None:
        self.worker = serving.Worker("emt")

    async def Describe(self, request: Any, context: Any) -> oracle_pb2.OracleServiceDescribeResponse:
        return DESCRIPTION

    async def Score(self, request: oracle_pb2.ScoreRequest, context: Any) -> oracle_pb2.ScoreResponse:
        return await self.worker.run_stoppable(lambda stop: self.score(request, stop))

    async def ScoreStream(
        self, requests: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[oracle_pb2.ScoreStreamResponse]:
        async for answer in serving.score_stream(requests, lambda request: self.Score(request, context)):
            yield answer

    async def SubmitScore(self, request: Any, context: Any) -> Any:
        raise UnimplementedError("this oracle takes milliseconds: use Score")

    GetOperation = WaitOperation = CancelOperation = SubmitScore

    def score(self, request: oracle_pb2.ScoreRequest, stop: serving.Stop) -> oracle_pb2.ScoreResponse:
        components = serving.check_score_request(request, DESCRIPTION, DIGEST)
        if request.settings.return_forces:
            raise UnimplementedError("this oracle returns no forces; score without return_forces")
        batch = batch_from_proto(request.crystals)
        response = oracle_pb2.ScoreResponse(
            provenance=oracle_pb2.ScoreProvenance(
                calculator_id="emt",
                calculator_version=ase.__version__,
                reference_id="fcc-metals",
                hull_id="emt-fcc-metals",
                settings_digest=DIGEST,
                service_version=DESCRIPTION.service_version,
            )
        )
        for index, crystal in enumerate(batch):
            if stop.is_set():
                break  # nobody waits any more
            response.scores.append(score_one(index, crystal, components))
        return response


if __name__ == "__main__":
    given = serving.settings_from(
        serving.add_arguments(argparse.ArgumentParser(description=__doc__)).parse_args()
    )
    asyncio.run(serving.serve([ExampleOracle()], given, name="oracle"))
