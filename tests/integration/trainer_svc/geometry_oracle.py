"""A small oracle of its own: the contract served with plain geometry in place of a calculator.

Energies are a function of the volume per atom, so that a reward exists, scoring takes no time, and the
trainer is seen to work with an oracle that is not ours. Also a process: ``python geometry_oracle.py``.
"""

import argparse
import asyncio
import sys
from typing import Any

import numpy as np

from xenolith import serving
from xenolith.contract.wire import batch_from_proto, batch_to_proto
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.v1 import crystal_pb2, oracle_pb2, oracle_pb2_grpc

BEST_VOLUME = 18.0
_COMPONENTS = frozenset(
    {
        oracle_pb2.COMPONENT_VALIDITY,
        oracle_pb2.COMPONENT_STABILITY,
        oracle_pb2.COMPONENT_NOVELTY,
        oracle_pb2.COMPONENT_UNIQUENESS,
        oracle_pb2.COMPONENT_STRUCTURE_DIVERSITY,
        oracle_pb2.COMPONENT_COMPOSITION_DIVERSITY,
        oracle_pb2.COMPONENT_PROPERTIES,
        oracle_pb2.COMPONENT_CONTINUOUS,
    }
)


class GeometryOracle(oracle_pb2_grpc.OracleServiceServicer):
    def __init__(self, calculator: str = "geometry-1") -> None:
        self.calculator = calculator
        self.calls = 0
        self.unable: set[int] = set()
        """Components that it cannot measure."""
        self.relaxes = True
        """Whether it says that it can relax."""
        self.references: dict[str, set[str]] = {}
        """Formulas that each of its references knows, by id; of the first, which is its own, and others."""

    async def Describe(self, request: Any, context: Any) -> oracle_pb2.OracleServiceDescribeResponse:
        return oracle_pb2.OracleServiceDescribeResponse(
            service_version="1",
            calculators=[oracle_pb2.CalculatorInfo(id=self.calculator, supports_relaxation=self.relaxes)],
            components=_COMPONENTS - self.unable,
            cache_backend="none",
            properties=[oracle_pb2.PropertyInfo(name="gap", unit="eV")],
            references=[
                oracle_pb2.ReferenceInfo(id=name, num_structures=max(1, len(formulas)), hull_id="geometry")
                for name, formulas in self.references.items()
            ],
            audit_calculators=[oracle_pb2.CalculatorInfo(id="geometry-2")],
        )

    async def Score(self, request: oracle_pb2.ScoreRequest, context: Any) -> oracle_pb2.ScoreResponse:
        self.calls += 1
        seen: dict[str, int] = {}
        crystals = batch_from_proto(request.crystals)
        scores = [_score(c, index, seen) for index, c in enumerate(crystals)]
        if request.settings.HasField("relax"):
            for crystal, score in zip(crystals, scores, strict=True):
                _relax(crystal, score)
        if oracle_pb2.COMPONENT_CONTINUOUS in request.components:
            for score in scores:
                score.continuous_novelty, score.continuous_uniqueness = 0.5, 0.5
        for score in scores:
            for name in request.settings.audit_calculator_ids if score.valid else ():
                _audit(score, name)
            if "gap" in request.settings.properties and score.valid:
                score.properties["gap"] = 1.0 + score.e_above_hull
        own = next(iter(self.references), "none")
        given = batch_from_proto(request.known) if request.HasField("known") else ()
        known = {crystal.formula for crystal in given}
        known |= self.references.get(request.settings.reference_id or own, set())
        for score in scores:
            if score.valid and score.formula in known:
                score.novel, score.nearest_reference = False, f"id of {score.formula}"
        provenance = oracle_pb2.ScoreProvenance(
            calculator_id=self.calculator, reference_id=own, settings_digest=f"digest of {self.calculator}"
        )
        return oracle_pb2.ScoreResponse(scores=scores, provenance=provenance)


def _score(crystal: Crystal, index: int, seen: dict[str, int]) -> oracle_pb2.StructureScore:
    volume = crystal.volume / crystal.num_atoms
    if not 2.0 < volume < 200.0:
        status = crystal_pb2.STRUCTURE_STATUS_BAD_DENSITY
        return oracle_pb2.StructureScore(status=status, message=f"{volume:.1f} A^3/atom", valid=False)
    energy = float(0.3 * np.abs(np.log(volume / BEST_VOLUME)))
    first = seen.setdefault(crystal.formula, index)
    score = oracle_pb2.StructureScore(
        status=crystal_pb2.STRUCTURE_STATUS_OK,
        formula=crystal.formula,
        valid=True,
        energy_per_atom=energy - 3.0,
        e_above_hull=energy,
        novel=True,
        unique=first == index,
        structure_diversity=1.0 / volume,
        composition_diversity=1.0 / len(seen),
    )
    if first != index:
        score.duplicate_of = first
    return score


def _audit(score: oracle_pb2.StructureScore, name: str) -> None:
    """Agree, but for a tenth of an eV/atom, and for structures on the hull, which are seen far above."""
    above = score.e_above_hull + (0.1 if score.e_above_hull > 0.02 else 1.0)
    status = crystal_pb2.STRUCTURE_STATUS_OK
    score.audits.add(calculator_id=name, status=status, energy_per_atom=above - 3.0, e_above_hull=above)


def _relax(crystal: Crystal, score: oracle_pb2.StructureScore) -> None:
    """Relax to the best volume; what is not valid, or has a single atom, cannot be relaxed."""
    if not score.valid or crystal.num_atoms == 1:
        score.relaxation.status = crystal_pb2.STRUCTURE_STATUS_RELAXATION_FAILED
        return
    ratio = (BEST_VOLUME * crystal.num_atoms / crystal.volume) ** (1 / 3)
    relaxed = Crystal(
        lattice=crystal.lattice * ratio, numbers=crystal.numbers, frac_coords=crystal.frac_coords
    )
    score.relaxation.status = crystal_pb2.STRUCTURE_STATUS_OK
    score.relaxation.converged = True
    score.relaxation.crystal.CopyFrom(batch_to_proto(CrystalBatch.from_crystals([relaxed])))


def main() -> int:
    parser = serving.add_arguments(argparse.ArgumentParser())
    parser.add_argument("--calculator", default="geometry-1")
    arguments = parser.parse_args()
    oracle = GeometryOracle(arguments.calculator)
    asyncio.run(serving.serve([oracle], serving.settings_from(arguments), name="oracle"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
