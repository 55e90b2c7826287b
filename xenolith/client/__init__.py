"""Clients for the three services: `Client` for plain programs, `AsyncClient` for those with an event loop."""

from xenolith.client.client_async import AsyncClient, AsyncOperationHandle
from xenolith.client.client_sync import Client, OperationHandle
from xenolith.client.conditions import condition
from xenolith.client.results.operations import Operation
from xenolith.client.results.runs import Event, Run
from xenolith.client.results.samples import Encoded, Samples, Trajectory
from xenolith.client.results.scores import HullPhase, Score, Scores, Status
from xenolith.client.trainer_calls import run_config
from xenolith.client.transport.options import Options

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
