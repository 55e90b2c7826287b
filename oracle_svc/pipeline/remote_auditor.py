"""A second calculator that another oracle runs, reached over the contract.

It needs neither its libraries nor its hull here: the other oracle has them, measures, and keeps what it
measured in its own cache.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from pydantic import BaseModel, ConfigDict, Field

from oracle_svc.pipeline.results import Audit
from oracle_svc.status import Status
from xenolith.client import Client, Options, oracle_calls
from xenolith.client.results.scores import Score, Scores
from xenolith.client.transport.retry import RetryPolicy
from xenolith.contract.structure_messages import StructureMessage
from xenolith.crystal import Crystal, CrystalBatch
from xenolith.errors import (
    DeadlineError,
    FailedPreconditionError,
    UnimplementedError,
    XenolithError,
)
from xenolith.serving.hops import connection_of
from xenolith.v1 import oracle_pb2

__all__ = ["RemoteAuditor", "RemoteAuditorSpec"]

log = structlog.get_logger(__name__)

_OVERLAP = Crystal(lattice=np.eye(3) * 4.0, numbers=np.ones(2, np.int32), frac_coords=np.zeros((2, 3)))
"""Two atoms in one place. The validity gate stops it, so that it costs an oracle nothing."""


class RemoteAuditorSpec(BaseModel):
    """An oracle that gives second opinions, as the user names it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str
    """``host:port``, or any target that gRPC resolves."""
    token_file: Path | None = None
    """File with the bearer token that it asks of its callers."""
    tls: bool = False
    """Connect over TLS, trusting the system's authorities unless `tls_ca` is given."""
    tls_ca: Path | None = None
    """Authority (PEM) to trust; implies `tls`."""
    tls_cert: Path | None = None
    """Certificate (PEM) to show, where it asks its callers for one; with `tls_key`."""
    tls_key: Path | None = None
    """Private key of `tls_cert`."""
    wait_s: float = Field(60.0, ge=0)
    """Seconds that this oracle's start waits for it."""

    def connection(self) -> Options:
        """Return how to reach it.

        Raises
        ------
        InvalidArgumentError
            A file cannot be read, or a certificate comes without its key.
        """
        options = Options(tls=self.tls, tls_ca=self.tls_ca, tls_cert=self.tls_cert, tls_key=self.tls_key)
        files = self.model_dump(include={"token_file", "tls_ca", "tls_cert", "tls_key"})
        return replace(options, **connection_of(files, named="audit: "))


class RemoteAuditor:
    """A second calculator at an address; thread-safe.

    What it is gets fixed here: calculator, version, energy scheme, hull and settings. Should another oracle
    answer there later, or the same one with other settings, it is refused: audits before and after would not
    be of one scale.

    Parameters
    ----------
    spec
        Where, and how to reach it.

    Raises
    ------
    InvalidArgumentError
        A file of `spec` cannot be read, or a certificate comes without its key.
    UnavailableError
        Nothing answers there.
    FailedPreconditionError
        What answers is no oracle, or one that cannot place energies above a hull while its caller waits.
    """

    def __init__(self, spec: RemoteAuditorSpec) -> None:
        self.address = spec.address
        self._client = Client.connect(oracle=spec.address, options=spec.connection())
        try:
            described = self._described(spec.wait_s)
            self._check(described)
            info, reference = described.calculators[0], described.references[0]
            self.id, self.version, self.scheme = info.id, info.version, info.scheme
            self.licence, self.elements = info.licence, tuple(info.elements)
            self.hull_id = reference.hull_id
            self.max_batch = described.max_batch
            # The digest comes with scores alone; it is of all that changes values there.
            self.settings_digest = self._client.oracle.score(
                [_OVERLAP], components=["stability"]
            ).provenance.settings_digest
        except BaseException:
            self._client.close()
            raise

    def ask(self, crystals: CrystalBatch, settings: dict[str, Any]) -> Scores:
        """Return the other oracle's scores of some crystals, `max_batch` of them at most.

        Parameters
        ----------
        settings
            `ScoreSettings` that change no value: time limit, use of the cache.

        Raises
        ------
        FailedPreconditionError
            What answers is not what did at the start.
        XenolithError
            It does not answer, or refuses.
        """
        try:
            return self._client.oracle.score(
                crystals,
                components=["stability"],
                settings=settings,
                expected_settings_digest=self.settings_digest,
            )
        except FailedPreconditionError as error:
            raise FailedPreconditionError(
                f"the oracle at {self.address} is no longer the auditor that it was at the start"
                f" ({self.id} {self.version}, {self.scheme}, hull {self.hull_id}): restart this oracle to"
                f" audit by what answers there now ({error})"
            ) from error

    def opinion(self, index: int, score: Score) -> Audit:
        """Return what a score says, where `index` is the structure's place in what was asked."""
        # Where it stands in this batch is said by whoever words the answer.
        message = StructureMessage.of(score.message).apart_from(index)
        return Audit(
            calculator_id=self.id,
            status=Status[score.status],
            message=message,
            energy_per_atom=score.energy_per_atom,
            e_above_hull=score.e_above_hull,
            formation_energy_per_atom=score.formation_energy_per_atom,
            hull_id=self.hull_id if score.energy_per_atom is not None else "",
        )

    def refusal(self, error: XenolithError) -> Audit:
        """Return the opinion on a structure of which the other oracle said nothing."""
        status = Status.TIMEOUT if isinstance(error, DeadlineError) else Status.CALCULATOR_FAILED
        return Audit(calculator_id=self.id, status=status, message=f"no answer from {self.address}: {error}")

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _described(self, wait_s: float) -> oracle_pb2.OracleServiceDescribeResponse:
        patience = RetryPolicy(
            limit_s=wait_s,
            advice=f"nothing answers at {self.address}, which --audit names: start an oracle there, or leave"
            " it out",
            on_wait=lambda why: log.info("auditor not there yet", address=self.address, why=why),
        )
        try:
            return self._client.oracle.call(oracle_calls.describe(), patience)
        except UnimplementedError as error:
            raise FailedPreconditionError(
                f"audit: what answers at {self.address} is no oracle; give the address of one ({error})"
            ) from error

    def _check(self, described: oracle_pb2.OracleServiceDescribeResponse) -> None:
        """Refuse an oracle that cannot judge, saying what it lacks."""
        lacks = ""
        if not described.calculators or oracle_pb2.COMPONENT_STABILITY not in described.components:
            lacks = "measures no stability"
        elif not described.references or not described.references[0].hull_id:
            lacks = "has no hull; start it with a --reference that has one, or with --hull"
        elif described.calculators[0].long_running:
            lacks = "takes minutes and more for a structure, and an audit waits for its answers"
        if lacks:
            raise FailedPreconditionError(f"audit: the oracle at {self.address} {lacks}")
