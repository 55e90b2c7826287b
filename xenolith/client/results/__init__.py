"""Answers of the services, as dataclasses: scores, samples, runs."""

from xenolith.client.results.samples import Encoded, Samples, Trajectory
from xenolith.client.results.scores import Audit, HullPhase, Provenance, Relaxation, Score, Scores, Status

__all__ = [
    "Audit",
    "Encoded",
    "HullPhase",
    "Provenance",
    "Relaxation",
    "Samples",
    "Score",
    "Scores",
    "Status",
    "Trajectory",
]
