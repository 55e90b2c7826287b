"""``xenolith evaluate``: the headline metrics of a policy."""

import argparse
from typing import Any

from xenolith.cli.generator.cleanup import add_cleanup, cleanup_settings
from xenolith.cli.generator.finishing import add_finishing, finishing_settings
from xenolith.cli.oracle.auditors import add_auditors, auditor_environment, auditor_ids
from xenolith.cli.output import add_json, console, table, write_json
from xenolith.cli.progress import Progress
from xenolith.cli.services import add_service_arguments, services
from xenolith.cli.trainer.runs import rows
from xenolith.client.results.runs import evaluation_dict, message_dict
from xenolith.contract.evaluations import AUDIT_SHARES, estimate_of
from xenolith.v1 import trainer_pb2

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "evaluate",
        help="how many samples of a policy are stable, unique and novel",
        description="Sample a policy, score the samples, report the headline metrics with 95 % intervals.",
    )
    parser.add_argument("name", nargs="?", default="", metavar="RUN", help="run; default: the base policy")
    parser.add_argument("--step", type=int, help="step of the run (default: the latest)")
    parser.add_argument("-n", type=int, default=1000, help="samples (default: 1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--relax", action="store_true", help="relax, and report relaxed metrics too")
    add_auditors(parser)
    add_finishing(parser)
    add_cleanup(parser)
    add_service_arguments(parser, "generator", "oracle", "trainer")
    add_json(parser, "the metrics")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Evaluate and report."""
    out = console(given.json)
    settings: dict[str, Any] = {"relax": {}} if given.relax else {}
    if cleanup := cleanup_settings(given):
        settings["cleanup"] = cleanup
    if finishing := finishing_settings(given):
        settings["finishing"] = finishing
    environment = auditor_environment(given, out)
    with services(given, "trainer", out, environment=environment) as client, Progress(out) as progress:
        if given.audit:
            settings["audit_calculator_ids"] = auditor_ids(given, client)
        evaluation = client.trainer.evaluate(
            given.name,
            step=given.step,
            n=given.n,
            seed=given.seed,
            settings=settings,
            on_progress=lambda stage, done, total: progress.update(stage, done, total or None),
        )
    write_json(given.json, {**evaluation_dict(evaluation), "details": message_dict(evaluation)})
    if given.json != "-":
        out.print(table(f"policy {evaluation.policy_version}", ["", "value [95 %]"], rows(evaluation)))
        for audit in evaluation.audits:
            out.print(_told(audit), markup=False)
        for audit in evaluation.relaxed.audits:
            out.print(f"relaxed: {_told(audit)}", markup=False)
    return 0


def _told(audit: trainer_pb2.AuditSummary) -> str:
    """Say in a line what a second calculator found."""
    rank = f"{audit.rank_correlation:.2f}" if audit.HasField("rank_correlation") else "-"
    claims = f"{audit.msun_claims} mSUN claims"
    if audit.HasField("msun_survival"):
        claims = f"{audit.msun_survival:.0%} of {claims} survive"
    shares = [
        f"{name} {share.value:.1%} [{share.low:.1%}, {share.high:.1%}]"
        for name in AUDIT_SHARES
        if (share := estimate_of(audit, name)) is not None
    ]
    told = [*shares, f"{audit.measured} structures", f"rank correlation {rank}", claims]
    return f"audit by {audit.calculator_id}: {', '.join(told)}, {audit.flagged} flagged"
