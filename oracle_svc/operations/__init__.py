"""Scorings that outlive their call: submitted, followed, waited for, cancelled, and kept over restarts."""

from oracle_svc.operations.calls import Operations
from oracle_svc.operations.engine import OperationSettings, Prepared, Scoring

__all__ = ["OperationSettings", "Operations", "Prepared", "Scoring"]
