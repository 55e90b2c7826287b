"""Two calculators on the same structures: do they rank alike, where do they part, which claims survive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xenolith.analysis.audit_opinions import Opinion
from xenolith.analysis.audit_report import CLAIMS, AuditReport, Disagreement
from xenolith.analysis.statistics import kendall, spearman
from xenolith.headlines import ColumnTable, headline

__all__ = ["compare"]

_LEAST_GAP = 0.25
"""eV/atom: no disagreement below this is flagged, however well the two agree elsewhere."""
_ODD = 4.0
"""Robust standard deviations from which on a disagreement is flagged."""
UNBELIEVABLE_BELOW = -0.5
"""eV/atom above hull: the known phases are not that incomplete."""
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_ROUNDS = 3


def compare(
    opinions: Sequence[Opinion], *, calculator: str, scoring_calculator: str, worst: int = 10
) -> AuditReport:
    """Compare two calculators.

    Parameters
    ----------
    opinions
        One per structure.
    calculator, scoring_calculator
        Ids of the auditor and of the calculator that scored.
    worst
        Disagreements to list at least; flagged ones are listed all.
    """
    by_hull = any(o.audit_above_hull is not None for o in opinions)
    warnings: list[str] = []
    if by_hull:
        both = [o for o in opinions if o.above_hull is not None and o.audit_above_hull is not None]
        audited = np.array([o.audit_above_hull for o in both], dtype=np.float64)
    else:
        both = [o for o in opinions if o.energy is not None and o.audit_energy is not None]
        both = [o for o in both if o.above_hull is not None]
        audited = np.array([o.above_hull for o in both], dtype=np.float64) + _residuals(both, warnings)
    scored = np.array([o.above_hull for o in both], dtype=np.float64)
    listed = _disagreements(both, scored, audited)
    flagged = [item for item in listed if item.flagged]
    claims, surviving = _claims(both, scored, audited if by_hull else None)
    some = len(both) > 0
    shift = audited - scored
    return AuditReport(
        calculator=calculator,
        scoring_calculator=scoring_calculator,
        basis="hull" if by_hull else "elements",
        structures=len(opinions),
        measured=len(both),
        spearman=spearman(scored, audited) if len(both) > 1 else None,
        kendall=kendall(scored, audited) if len(both) > 1 else None,
        mean_shift=float(shift.mean()) if some and by_hull else None,
        median_shift=float(np.median(shift)) if some and by_hull else None,
        spread=_spread(shift) if some else None,
        quantiles={
            f"{level:g}": (float(np.quantile(scored, level)), float(np.quantile(audited, level)))
            for level in (_QUANTILES if some else ())
        },
        claims=claims,
        surviving=surviving,
        flagged=len(flagged),
        worst=tuple(flagged + [item for item in listed if not item.flagged][: max(0, worst - len(flagged))]),
        points=tuple(
            (item.scored, item.audited, item.flagged) for item in sorted(listed, key=lambda i: i.flagged)
        ),
        problems=_counts(o.problem for o in opinions if o.problem),
        warnings=tuple(warnings),
    )


def _disagreements(
    both: Sequence[Opinion], scored: NDArray[np.float64], audited: NDArray[np.float64]
) -> list[Disagreement]:
    """All structures, by how much further up the auditor puts them."""
    if not both:
        return []
    shift = audited - scored
    excess = shift - np.median(shift)
    limit = max(_LEAST_GAP, _ODD * _spread(shift))
    items = []
    for row in np.argsort(-excess, kind="stable").tolist():
        reason = ""
        if excess[row] > limit:
            reason = f"the auditor puts it {excess[row]:.2f} eV/atom further up than it does others"
        elif min(scored[row], audited[row]) < UNBELIEVABLE_BELOW:
            reason = f"{-min(scored[row], audited[row]):.2f} eV/atom below the hull is not to be believed"
        items.append(
            Disagreement(
                source=both[row].source,
                formula=both[row].formula,
                scored=float(scored[row]),
                audited=float(audited[row]),
                excess=float(excess[row]),
                flagged=bool(reason),
                reason=reason,
            )
        )
    return items


def _claims(
    both: Sequence[Opinion], scored: NDArray[np.float64], audited: NDArray[np.float64] | None
) -> tuple[dict[str, int], dict[str, int]]:
    creative = np.array([o.creative for o in both], dtype=np.float64)

    def flags(energies: NDArray[np.float64], name: str) -> NDArray[np.bool_]:
        columns = {"valid": np.ones(len(both)), "unique": creative, "novel": creative}
        return headline(name).flags(ColumnTable(size=len(both), values=columns | {"e_above_hull": energies}))

    claimed = {name: flags(scored, name) for name in CLAIMS}
    counts = {name: int(rows.sum()) for name, rows in claimed.items()}
    if audited is None:
        return counts, {}
    return counts, {name: int((rows & flags(audited, name)).sum()) for name, rows in claimed.items()}


def _residuals(both: Sequence[Opinion], warnings: list[str]) -> NDArray[np.float64]:
    """(N,) difference of energies that is left after an offset per element, eV/atom.

    Structures that stand out are left out of the fit in its next round: an artefact is not to bend the
    offsets of its elements toward itself.
    """
    elements = sorted({z for o in both for z in o.composition})
    fractions = np.array(
        [[o.composition.get(z, 0) / sum(o.composition.values()) for z in elements] for o in both]
    ).reshape(len(both), len(elements))
    difference = np.array([_difference(o) for o in both], dtype=np.float64)
    if len(both) < 3 * len(elements):
        warnings.append(
            f"{len(both)} structures of {len(elements)} elements are few for an offset per element: build "
            "the auditor's hull (python -m oracle_svc.known.build.hulls) for an audit that says more"
        )
    keep = np.ones(len(both), dtype=bool)
    left = difference
    for _ in range(_ROUNDS if len(both) else 0):
        # The small ridge keeps offsets of elements that occur together finite.
        matrix = fractions[keep].T @ fractions[keep] + 1e-6 * np.eye(len(elements))
        offsets = np.linalg.solve(matrix, fractions[keep].T @ difference[keep])
        left = difference - fractions @ offsets
        keep = np.abs(left - np.median(left)) <= max(_LEAST_GAP, _ODD * _spread(left))
    return left


def _difference(opinion: Opinion) -> float:
    if opinion.energy is None or opinion.audit_energy is None:
        return float("nan")  # unreachable: such opinions are left out
    return opinion.audit_energy - opinion.energy


def _spread(values: NDArray[np.float64]) -> float:
    """Standard deviation of a normal distribution with the same median absolute deviation."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _counts(reasons: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for reason in reasons:
        found[reason] = found.get(reason, 0) + 1
    return found
