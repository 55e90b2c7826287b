"""summary.json: the run in the numbers that other tools read."""

from typing import Any

from google.protobuf import json_format

from xenolith.contract.evaluations import audit_figures, estimate_of, further_novelty
from xenolith.headlines import HEADLINES
from xenolith.v1 import trainer_pb2

__all__ = ["evaluation_summary", "run_summary"]


def evaluation_summary(evaluation: trainer_pb2.Evaluation) -> dict[str, Any]:
    """Shares in [0, 1], with the 95 % interval of each as ``<name>_ci95``; null where not measured."""
    summary: dict[str, Any] = {"n": evaluation.n}
    shares = {metric.name: estimate_of(evaluation, metric.name) for metric in HEADLINES}
    for name, estimate in (shares | further_novelty(evaluation)).items():
        summary[name] = estimate and estimate.value
        summary[f"{name}_ci95"] = estimate and [estimate.low, estimate.high]
    summary["policy_version"] = evaluation.policy_version
    summary["audit"] = audit_figures(evaluation.audits)
    summary["relaxed_audit"] = audit_figures(evaluation.relaxed.audits)
    if evaluation.audits:
        summary["audits"] = [
            json_format.MessageToDict(audit, preserving_proto_field_name=True) for audit in evaluation.audits
        ]
    return summary | dict(evaluation.metrics)


def run_summary(run: trainer_pb2.Run) -> dict[str, Any]:
    """Summarise a run; ``base`` and ``tuned`` are null where they were not evaluated."""
    scale = run.score_provenance
    return {
        "name": run.name,
        "base": evaluation_summary(run.base) if run.HasField("base") else None,
        "tuned": evaluation_summary(run.tuned) if run.HasField("tuned") else None,
        "steps": run.steps_done,
        "algorithm": run.config.algorithm,
        "oracle_calls": run.oracle_calls,
        "training_oracle_calls": run.training_oracle_calls,
        "calculator_evaluations": run.calculator_evaluations,
        "chosen_step": run.chosen_step if run.HasField("chosen_step") else run.steps_done,
        "wall_s": run.wall_s,
        "calculator": scale.calculator_id,
        "calculator_version": scale.calculator_version,
        "reference": scale.reference_id,
        "hull": scale.hull_id,
        "settings_digest": scale.settings_digest,
        "bundle": run.bundle_name,
        "bundle_digest": run.bundle_digest,
        "policy_version": run.policy_version,
        "seed": run.config.seed,
    }
