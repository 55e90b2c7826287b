"""Second opinions on an evaluation: what other calculators say of the samples that the oracle scored."""

from collections.abc import Sequence

import numpy as np

from trainer_svc.rewards.measurements import Measurements
from trainer_svc.services.scoring import Scorer
from xenolith.analysis import AuditReport, Opinion, compare
from xenolith.contract.names import status_name
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.v1 import oracle_pb2, trainer_pb2

__all__ = ["audits_of", "summary_of"]


async def audits_of(
    scorer: Scorer, crystals: CrystalBatch, measured: Measurements, ids: Sequence[str]
) -> tuple[AuditReport, ...]:
    """Have each of these calculators judge B scored structures.

    Parameters
    ----------
    measured
        What the oracle measured of them.
    ids
        Calculators that the oracle offers for audits; none: no audit.
    """
    if not ids:
        return ()
    answer = await scorer.second_opinions(crystals, ids)
    scored_by = answer.provenance.calculator_id
    return tuple(
        compare(
            [
                _opinion(crystal, measured, index, score, name)
                for index, (crystal, score) in enumerate(zip(crystals, answer.scores, strict=True))
                if measured.column("valid")[index] == 1.0
            ],
            calculator=name,
            scoring_calculator=scored_by,
        )
        for name in ids
    )


def summary_of(report: AuditReport) -> trainer_pb2.AuditSummary:
    """Give a report as the contract's message."""
    return trainer_pb2.AuditSummary(
        calculator_id=report.calculator,
        measured=report.measured,
        rank_correlation=report.spearman,
        mean_shift=report.mean_shift,
        msun_survival=report.msun_survival,
        basis=report.basis,
        msun_claims=report.claims["msun"],
        flagged=report.flagged,
    )


def _opinion(
    crystal: Crystal, measured: Measurements, index: int, score: oracle_pb2.StructureScore, name: str
) -> Opinion:
    audit = next((found for found in score.audits if found.calculator_id == name), oracle_pb2.Audit())
    numbers, counts = np.unique(crystal.numbers, return_counts=True)
    energy, above = measured.column("energy_per_atom")[index], measured.column("e_above_hull")[index]
    problem = "" if audit.HasField("energy_per_atom") else status_name(audit.status)
    return Opinion(
        source=str(index),
        formula=crystal.formula,
        composition=dict(zip(numbers.tolist(), counts.tolist(), strict=True)),
        energy=float(energy) if np.isfinite(energy) else None,
        above_hull=float(above) if np.isfinite(above) else None,
        audit_energy=audit.energy_per_atom if audit.HasField("energy_per_atom") else None,
        audit_above_hull=audit.e_above_hull if audit.HasField("e_above_hull") else None,
        creative=bool(measured.column("unique")[index] == 1.0 and measured.column("novel")[index] == 1.0),
        problem=problem,
    )
