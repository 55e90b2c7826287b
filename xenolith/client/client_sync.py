"""The client for programs without an event loop."""

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Self

from xenolith.client import generator_calls, operation_calls, oracle_calls, trainer_calls, weight_calls
from xenolith.client.client_shared import ClientBase
from xenolith.client.operations import OperationHandle
from xenolith.client.transport.service_sync import Service, collect, iterate, open_channel, unary, upload

if TYPE_CHECKING:
    from xenolith.convert.items import CrystalsLike

__all__ = ["Client", "GeneratorClient", "OracleClient", "TrainerClient"]


class GeneratorClient(Service):
    """Samples crystals, and translates between crystals and latents."""

    describe = unary(generator_calls.describe)
    sample = collect(generator_calls.sample)
    iter_samples = iterate(generator_calls.iter_samples)
    encode = unary(generator_calls.encode)
    decode = unary(generator_calls.decode)
    update_weights = upload(weight_calls.update_weights)
    get_weights = collect(weight_calls.get_weights)


class OracleClient(Service):
    """Measures crystals."""

    describe = unary(oracle_calls.describe)
    score = unary(oracle_calls.score)
    get_operation = unary(operation_calls.get_operation)
    wait_operation = unary(operation_calls.wait_operation)
    cancel_operation = unary(operation_calls.cancel_operation)

    def submit_score(self, crystals: "CrystalsLike", **how: Any) -> OperationHandle:
        """Start a scoring that may take hours, and return a handle on it at once.

        `how` is as for `score`, and ``priority`` (larger goes first), ``idempotency_key`` (submitting the
        same one again gives the same operation) and ``retention_s`` (how long the result is kept). Structures
        that cannot be sent are an error here: results are counted by their place in the submission.
        """
        return self._handle(self._unary(operation_calls.submit_score(crystals, **how)))

    def operation(self, operation_id: str) -> OperationHandle:
        """Return a handle on an operation that was submitted before, from here or elsewhere."""
        return self._handle(self._unary(operation_calls.get_operation(operation_id)))

    def _handle(self, operation: operation_calls.Operation) -> OperationHandle:
        return OperationHandle(self, operation, self._options.reconnect_s)

    def score_stream(self, batches: "Iterable[Any]", **how: Any) -> Iterator[oracle_calls.Streamed]:
        """Score batches as they come; yields each result with its batch's index, in order of completion.

        `how` is as for `score`. A batch that cannot be scored yields its error and does not end the stream.
        """
        return self._exchange(oracle_calls.score_stream(enumerate(batches), **how))


class TrainerClient(Service):
    """Starts, watches and evaluates training runs."""

    start_run = unary(trainer_calls.start_run)
    get_run = unary(trainer_calls.get_run)
    list_runs = unary(trainer_calls.list_runs)
    watch_run = iterate(trainer_calls.watch_run)
    stop_run = unary(trainer_calls.stop_run)
    resume_run = unary(trainer_calls.resume_run)
    publish_policy = unary(trainer_calls.publish_policy)
    evaluate = collect(trainer_calls.evaluate)
    get_artifact = collect(trainer_calls.get_artifact)


class Client(ClientBase[GeneratorClient, OracleClient, TrainerClient]):
    """The three services, those of them that were given an address.

    Example
    -------
    >>> from xenolith import Client
    >>> with Client.connect(oracle="localhost:50052") as x:          # doctest: +SKIP
    ...     for score in x.oracle.score("my_cifs/"):
    ...         print(score.source, score.formula, score.e_above_hull, score.novel)
    """

    _kinds: ClassVar = {
        "generator": GeneratorClient,
        "oracle": OracleClient,
        "trainer": TrainerClient,
    }
    _open = staticmethod(open_channel)

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Return once all services say that they serve."""
        end = time.monotonic() + timeout_s
        for service in self._services.values():
            service.wait_ready(max(0.5, end - time.monotonic()))

    def close(self) -> None:
        """Close the connections; calls at work are cancelled."""
        for channel in self._channels:
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
