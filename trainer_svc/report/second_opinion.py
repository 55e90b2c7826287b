"""Verdicts of second calculators on the evaluated policies."""

from collections.abc import Sequence
from html import escape

from trainer_svc.report.data import Policy
from xenolith.contract.evaluations import AUDIT_SHARES, estimate_of
from xenolith.v1 import trainer_pb2

__all__ = ["second_opinions"]

_HEAD = (
    "policy",
    "calculator",
    "metastable",
    "mSUN",
    "agreement on metastability",
    "measured",
    "rank correlation",
    "mean shift",
    "mSUN claims kept",
    "flagged",
)


def second_opinions(policies: Sequence[Policy]) -> str:
    """Return a table with a row per policy and auditor, empty if nothing was audited."""
    rows = []
    for policy in policies:
        evaluation = policy.evaluation
        rows += [_row(policy.name, audit) for audit in evaluation.audits]
        rows += [_row(f"{policy.name}, relaxed", audit) for audit in evaluation.relaxed.audits]
    if not rows:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in _HEAD)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _row(policy: str, audit: trainer_pb2.AuditSummary) -> str:
    rank = f"{audit.rank_correlation:.2f}" if audit.HasField("rank_correlation") else "-"
    shift = f"{audit.mean_shift:+.3f} eV/atom" if audit.HasField("mean_shift") else "-"
    kept = "-"
    if audit.HasField("msun_survival"):
        kept = f"{round(audit.msun_survival * audit.msun_claims)} of {audit.msun_claims}"
    shares = [_share(audit, name) for name in AUDIT_SHARES]
    cells = (policy, audit.calculator_id, *shares, str(audit.measured), rank, shift, kept, str(audit.flagged))
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _share(audit: trainer_pb2.AuditSummary, name: str) -> str:
    share = estimate_of(audit, name)
    return "-" if share is None else f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}]"
