"""Second opinions on an evaluation: what other calculators say of the samples that the oracle scored."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trainer_svc.rewards.measurements import Measurements
from trainer_svc.services.scoring import Scorer
from xenolith.analysis import AuditReport, compare, opinions_of
from xenolith.client import Scores
from xenolith.client.results.score_messages import scores_from_proto
from xenolith.convert import Item
from xenolith.crystal import CrystalBatch
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
    scores = _judged(crystals, measured, answer)
    return tuple(
        compare(opinions_of(scores, name), calculator=name, scoring_calculator=scored_by) for name in ids
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


def _judged(crystals: CrystalBatch, measured: Measurements, answer: oracle_pb2.ScoreResponse) -> Scores:
    """Return what the auditors answered beside what the oracle measured of the same structures."""
    items = [Item(source=str(index), crystal=crystal) for index, crystal in enumerate(crystals)]
    audited = scores_from_proto(items, answer)

    def known(name: str, index: int) -> float | None:
        value = measured.column(name)[index]
        return float(value) if np.isfinite(value) else None

    return replace(
        audited,
        scores=tuple(
            replace(
                score,
                formula=crystal.formula,
                valid=known("valid", index) == 1.0,
                unique=known("unique", index) == 1.0,
                novel=known("novel", index) == 1.0,
                energy_per_atom=known("energy_per_atom", index),
                e_above_hull=known("e_above_hull", index),
            )
            for index, (crystal, score) in enumerate(zip(crystals, audited, strict=True))
        ),
    )
