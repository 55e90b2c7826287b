"""Scorings that outlive their call: submitted, followed, waited for, cancelled, and kept over restarts."""

from oracle_svc.service.operations.calls import Operations
from oracle_svc.service.operations.engine import OperationSettings

__all__ = ["OperationSettings", "Operations"]
