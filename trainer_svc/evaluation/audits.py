"""Second opinions on an evaluation: what other calculators say of the samples that the oracle scored."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from trainer_svc.rewards.measurements import Measurements
from trainer_svc.services.scoring import Scorer
from xenolith.analysis import AuditReport, compare, opinions_of
from xenolith.client import Scores
from xenolith.client.results.score_messages import scores_from_proto
from xenolith.contract.evaluations import put_estimate
from xenolith.convert import Item
from xenolith.crystal import CrystalBatch
from xenolith.headlines import Truths, headline
from xenolith.intervals import Estimate, bootstrap
from xenolith.v1 import oracle_pb2, trainer_pb2

__all__ = ["Audited", "audits_of", "summary_of"]

_SHARES = ("metastable", "msun")
"""Headlines that a second calculator gives of its own."""


@dataclass(frozen=True, kw_only=True)
class Audited:
    """Verdict of a second calculator on an evaluation."""

    report: AuditReport
    """It and the scoring calculator, compared."""
    shares: dict[str, Estimate] = field(default_factory=dict)
    """``metastable`` and ``msun`` of all samples by its energies, and ``agreement``; empty without a hull."""


async def audits_of(
    scorer: Scorer,
    crystals: CrystalBatch,
    measured: Measurements,
    ids: Sequence[str],
    *,
    resamples: int,
    seed: int,
    among: NDArray[np.bool_] | None = None,
) -> tuple[Audited, ...]:
    """Have each of these calculators judge B scored structures.

    Parameters
    ----------
    measured
        What the oracle measured of them.
    ids
        Calculators that the oracle offers for audits; none: no audit.
    resamples, seed
        Of the intervals; see `bootstrap`.
    among
        (B,) which structures count, such as those whose relaxation came to an end; None: all. The others
        stay in the denominator of shares of all samples.
    """
    if not ids:
        return ()
    answer = await scorer.second_opinions(crystals, ids)
    scored_by = answer.provenance.calculator_id
    kept = np.ones(len(measured), dtype=bool) if among is None else among
    scores = _judged(crystals, measured, answer, kept)
    found = []
    for name in ids:
        report = compare(opinions_of(scores, name), calculator=name, scoring_calculator=scored_by)
        flags = _shares_of(_energies(scores, name), measured, kept) if report.basis == "hull" else {}
        shares = {
            share: bootstrap(rows, resamples=resamples, seed=seed)
            for share, rows in flags.items()
            if len(rows)
        }
        found.append(Audited(report=report, shares=shares))
    return tuple(found)


def summary_of(audited: Audited) -> trainer_pb2.AuditSummary:
    """Give an audit as the contract's message."""
    report = audited.report
    message = trainer_pb2.AuditSummary(
        calculator_id=report.calculator,
        measured=report.measured,
        rank_correlation=report.spearman,
        mean_shift=report.mean_shift,
        msun_survival=report.msun_survival,
        basis=report.basis,
        msun_claims=report.claims["msun"],
        flagged=report.flagged,
    )
    for name, estimate in audited.shares.items():
        put_estimate(message, name, estimate)
    return message


def _energies(scores: Scores, calculator: str) -> NDArray[np.float64]:
    """(B,) energies above an auditor's hull, eV/atom, NaN where it gives none."""
    given = [
        next((audit.e_above_hull for audit in score.audits if audit.calculator_id == calculator), None)
        for score in scores
    ]
    return np.array([np.nan if energy is None else energy for energy in given], dtype=np.float64)


def _shares_of(
    energies: NDArray[np.float64], measured: Measurements, kept: NDArray[np.bool_]
) -> dict[str, Truths]:
    """Flags of each share: of all structures, and for ``agreement`` of those that both placed."""
    by_auditor = replace(measured, values={**measured.values, "e_above_hull": energies})
    flags = {name: headline(name).flags(by_auditor) & kept for name in _SHARES}
    both = np.isfinite(energies) & np.isfinite(measured.column("e_above_hull")) & kept
    agree = headline("metastable").flags(measured) == headline("metastable").flags(by_auditor)
    return flags | {"agreement": agree[both]}


def _judged(
    crystals: CrystalBatch,
    measured: Measurements,
    answer: oracle_pb2.ScoreResponse,
    kept: NDArray[np.bool_],
) -> Scores:
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
                valid=bool(kept[index]) and known("valid", index) == 1.0,
                unique=known("unique", index) == 1.0,
                novel=known("novel", index) == 1.0,
                energy_per_atom=known("energy_per_atom", index),
                e_above_hull=known("e_above_hull", index),
            )
            for index, (crystal, score) in enumerate(zip(crystals, audited, strict=True))
        ),
    )
