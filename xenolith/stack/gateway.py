"""Ports of this machine for services with replicas: ``python -m xenolith.stack.gateway PORT=HOST:PORT``.

Each connection is handed to the replica behind the name that has the fewest, as bytes: TLS, tokens and
deadlines are between caller and service. Clients inside the network need none of it, since gRPC spreads their
calls itself.
"""

import argparse
import asyncio
import logging
import signal
import socket
import sys
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import suppress

from xenolith.errors import InvalidArgumentError

__all__ = ["Gateway", "main"]

log = logging.getLogger(__name__)
_CHUNK = 64 * 1024
_CONNECT_S = 5.0
_MOST = 512
"""Connections at once of a port."""
_LAST_PORT = 65_535


class Gateway:
    """Hands connections to the replicas behind a name.

    Parameters
    ----------
    hosts
        Names, looked up anew for each connection; all addresses of all of them are replicas.
    port
        Of the service.
    """

    def __init__(self, hosts: Sequence[str], port: int) -> None:
        self._hosts, self._port = hosts, port
        self._open: Counter[str] = Counter()

    async def serve(self, port: int, host: str = "0.0.0.0") -> asyncio.Server:  # noqa: S104  # in a container
        """Return a server that listens; port 0 takes any free one."""
        return await asyncio.start_server(self._connection, host, port, limit=_CHUNK)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        replica = ""
        try:
            if self._open.total() >= _MOST:
                return
            replica, there, onward = await self._connect()
            self._open[replica] += 1
            try:
                await _both(_copy(reader, onward), _copy(there, writer))
            finally:
                self._open[replica] -= 1
                await _closed(onward)
        except OSError as error:
            log.warning("no way to %s:%s: %s", ",".join(self._hosts), self._port, error)
        finally:
            await _closed(writer)

    async def _connect(self) -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter]:
        """Reach a replica: the one with the fewest connections that answers.

        Raises
        ------
        OSError
            None does; the last one's error.
        """
        last = OSError("it has no address")
        for address in sorted(await self._replicas(), key=lambda at: self._open[at]):
            try:
                opening = asyncio.open_connection(address, self._port, limit=_CHUNK)
                reader, writer = await asyncio.wait_for(opening, _CONNECT_S)
            except OSError as error:  # TimeoutError is one
                last = error
            else:
                return address, reader, writer
        raise last

    async def _replicas(self) -> set[str]:
        loop = asyncio.get_running_loop()
        found = [await loop.getaddrinfo(host, self._port, type=socket.SOCK_STREAM) for host in self._hosts]
        return {str(place[0]) for of_host in found for _, _, _, _, place in of_host}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what comes until its end, no faster than it is taken."""
    with suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _both(*directions: Coroutine[None, None, None]) -> None:
    tasks = [asyncio.ensure_future(direction) for direction in directions]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def _route(text: str) -> tuple[int, list[str], int]:
    """Read ``PORT=HOST:PORT``, with several hosts separated by commas.

    Raises
    ------
    InvalidArgumentError
        It is none.
    """
    listen, _, target = text.partition("=")
    host, _, port = target.rpartition(":")
    numbers = (listen, port)
    if not host or not all(number.isdecimal() and int(number) <= _LAST_PORT for number in numbers):
        raise InvalidArgumentError(f"route {text!r}: expected PORT=HOST:PORT, such as 50052=oracle:50052")
    return int(listen), host.split(","), int(port)


async def _serve(routes: list[tuple[int, list[str], int]]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    servers = [await Gateway(hosts, port).serve(listen) for listen, hosts, port in routes]
    told = [f"{listen} to {','.join(hosts)}:{port}" for listen, hosts, port in routes]
    log.info("gateway ready: %s", "; ".join(told))
    await stopped.wait()
    for server in servers:
        server.close()


def main(arguments: list[str] | None = None) -> int:
    """Listen until told to stop; returns the exit status."""
    parser = argparse.ArgumentParser("xenolith.stack.gateway", description=__doc__)
    parser.add_argument("routes", nargs="+", metavar="PORT=HOST:PORT")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(_serve([_route(text) for text in given.routes]))
    except (InvalidArgumentError, OSError) as error:
        print(f"gateway: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
