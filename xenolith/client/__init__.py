"""Clients for the three services: `Client` for plain programs, `AsyncClient` for those with an event loop."""

from xenolith.client.client_async import (
    AsyncClient,
    AsyncGeneratorClient,
    AsyncOperationHandle,
    AsyncOracleClient,
    AsyncTrainerClient,
)
from xenolith.client.client_sync import (
    Client,
    GeneratorClient,
    OperationHandle,
    OracleClient,
    TrainerClient,
)
from xenolith.client.conditions import condition
from xenolith.client.results.operations import Operation, OperationPage
from xenolith.client.results.runs import Artifact, Event, Run, RunPage
from xenolith.client.results.samples import Decoded, Encoded, Samples, Trajectory
from xenolith.client.results.scores import (
    Audit,
    HullPhase,
    Provenance,
    Relaxation,
    Score,
    Scores,
    Status,
)
from xenolith.client.trainer_calls import run_config
from xenolith.client.transport.options import Options

__all__ = [
    "Artifact",
    "AsyncClient",
    "AsyncGeneratorClient",
    "AsyncOperationHandle",
    "AsyncOracleClient",
    "AsyncTrainerClient",
    "Audit",
    "Client",
    "Decoded",
    "Encoded",
    "Event",
    "GeneratorClient",
    "HullPhase",
    "Operation",
    "OperationHandle",
    "OperationPage",
    "Options",
    "OracleClient",
    "Provenance",
    "Relaxation",
    "Run",
    "RunPage",
    "Samples",
    "Score",
    "Scores",
    "Status",
    "TrainerClient",
    "Trajectory",
    "condition",
    "run_config",
]
