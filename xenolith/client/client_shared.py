"""Common part of the plain and the asynchronous client: their services, and an operation looked at."""

from collections.abc import Callable
from typing import Any, ClassVar, Generic, Self, TypeVar

from xenolith.client.local_stack import find_local_stack
from xenolith.client.results.operations import Operation, operation_from_proto
from xenolith.client.results.scores import Scores
from xenolith.client.transport.endpoint import no_address, open_endpoints, unconfigured
from xenolith.client.transport.following import Following
from xenolith.client.transport.options import Options
from xenolith.errors import CancelledError
from xenolith.v1 import oracle_pb2

__all__ = ["LOOK_S", "ClientBase", "HandleBase"]

LOOK_S = 5.0
"""Longest time between two looks at an operation's progress, seconds."""

G = TypeVar("G")
O = TypeVar("O")  # noqa: E741  # the oracle's, as G is the generator's
T = TypeVar("T")


class ClientBase(Generic[G, O, T]):
    """The three services, those of them that have an address.

    Parameters
    ----------
    generator, oracle, trainer
        Addresses (``host:port``). With none at all those of the local stack are found: in the environment, in
        what `xenolith up` and `Stack` wrote down, or at the usual ports.
    options
        How to connect; left out, a local stack is reached as the environment and the stack itself say.
    security
        Fields of `Options`, in place of `options`.

    Raises
    ------
    StackNotFoundError
        No address was given, and no stack runs on this machine.
    """

    _kinds: ClassVar[dict[str, Callable[..., Any]]]
    """What makes each service, by its name."""

    def __init__(
        self,
        *,
        generator: str | None = None,
        oracle: str | None = None,
        trainer: str | None = None,
        options: Options | None = None,
        **security: Any,
    ) -> None:
        self._local = not (generator or oracle or trainer)
        if self._local:
            addresses, connection = find_local_stack()
            generator, oracle, trainer = (addresses.get(n) for n in ("generator", "oracle", "trainer"))
            if options is None:
                security = connection | security
        endpoints, options = open_endpoints(generator, oracle, trainer, options, security)
        self._services = {
            endpoint.name: self._kinds[endpoint.name](endpoint, options) for endpoint in endpoints
        }

    @classmethod
    def connect(
        cls,
        *,
        generator: str | None = None,
        oracle: str | None = None,
        trainer: str | None = None,
        options: Options | None = None,
        **security: Any,
    ) -> Self:
        """Return a client for the services at these addresses (``host:port``).

        Nothing is sent before the first call; see `wait_ready`. An asynchronous client wants a running event
        loop. Further arguments are those of `Options`, such as ``token="..."`` or ``tls_ca="ca.pem"``.

        Raises
        ------
        InvalidArgumentError
            No address was given, or what was given is none.
        """
        if not (generator or oracle or trainer):
            raise no_address()
        return cls(generator=generator, oracle=oracle, trainer=trainer, options=options, **security)

    @property
    def generator(self) -> G:
        """The generator."""
        generator: G = self._service("generator")
        return generator

    @property
    def oracle(self) -> O:
        """The oracle."""
        oracle: O = self._service("oracle")
        return oracle

    @property
    def trainer(self) -> T:
        """The trainer."""
        trainer: T = self._service("trainer")
        return trainer

    def _service(self, name: str) -> Any:
        try:
            return self._services[name]
        except KeyError:
            raise unconfigured(name, local=self._local) from None


class HandleBase:
    """An operation as it was when last looked at."""

    def __init__(self, client: Any, operation: Operation) -> None:
        self._client = client
        self.operation = operation
        """What the oracle said last."""

    @property
    def id(self) -> str:
        """Identity: `client.oracle.operation(id)` takes it up again from anywhere."""
        return self.operation.id

    @property
    def state(self) -> str:
        """``QUEUED``, ``RUNNING``, ``SUCCEEDED``, ``FAILED`` or ``CANCELLED``."""
        return self.operation.state

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.operation.done

    def __repr__(self) -> str:
        now = self.operation
        return (
            f"<operation {now.id}: {now.state}, {now.structures_done} of {now.structures_total} structures>"
        )

    def _following(self, timeout_s: float) -> Following:
        return Following(self.id, look_s=LOOK_S, timeout_s=timeout_s)

    def _seen(self, message: oracle_pb2.Operation) -> Operation:
        self.operation = operation_from_proto(message)
        return self.operation

    def _result(self) -> Scores:
        if self.operation.error is not None:
            raise self.operation.error
        if self.operation.scores is None:
            raise CancelledError(f"operation {self.id} was cancelled before anything was measured")
        return self.operation.scores
