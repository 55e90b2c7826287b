"""Clients for the three services: `Client` for plain programs, `AsyncClient` for those with an event loop."""

from xenolith.client.aio import AsyncClient
from xenolith.client.condition_messages import condition
from xenolith.client.operation_calls import Operation
from xenolith.client.operations import AsyncOperationHandle, OperationHandle
from xenolith.client.options import Options
from xenolith.client.results import HullPhase, Score, Scores, Status
from xenolith.client.runs import Event, Run
from xenolith.client.samples import Encoded, Samples, Trajectory
from xenolith.client.sync import Client
from xenolith.client.trainer_calls import run_config

__all__ = [
    "AsyncClient",
    "AsyncOperationHandle",
    "Client",
    "Encoded",
    "Event",
    "HullPhase",
    "Operation",
    "OperationHandle",
    "Options",
    "Run",
    "Samples",
    "Score",
    "Scores",
    "Status",
    "Trajectory",
    "condition",
    "run_config",
]
