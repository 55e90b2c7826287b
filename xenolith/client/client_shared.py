"""What the plain and the asynchronous client have in common: which services they reach, and how they open."""

from collections.abc import Callable
from typing import Any, ClassVar, Generic, Self, TypeVar

from xenolith.client.transport.endpoint import Endpoint, open_endpoints, unconfigured
from xenolith.client.transport.options import Options

__all__ = ["ClientBase"]

G = TypeVar("G")
O = TypeVar("O")  # noqa: E741  # the oracle's, as G is the generator's
T = TypeVar("T")


class ClientBase(Generic[G, O, T]):
    """The three services, those of them that were given an address."""

    _kinds: ClassVar[dict[str, Callable[..., Any]]]
    """What makes each service, by its name."""
    _open: ClassVar[Callable[..., Any]]
    """Returns a channel to an address, given that and the options."""

    def __init__(self, endpoints: list[Endpoint], options: Options) -> None:
        self._services: dict[str, Any] = {}
        self._channels: list[Any] = []
        for endpoint in endpoints:
            channel = self._open(endpoint.address, options)
            self._channels.append(channel)
            self._services[endpoint.name] = self._kinds[endpoint.name](endpoint, channel, options)

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
        return cls(*open_endpoints(generator, oracle, trainer, options, security))

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
            raise unconfigured(name) from None
