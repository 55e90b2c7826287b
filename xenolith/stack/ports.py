"""Free ports on this machine."""

import socket
from collections.abc import Mapping

__all__ = ["choose_ports"]


def choose_ports(preferred: Mapping[str, int] | None, names: tuple[str, ...]) -> dict[str, int]:
    """Return a free port for each name: the preferred one where it is free, else one that the system picks.

    All are held until all are chosen, so that no two names get the same.
    """
    held: list[socket.socket] = []
    ports = {}
    try:
        for name in names:
            holder = _bound((preferred or {}).get(name, 0)) or _bound(0)
            if holder is None:
                raise OSError("no free port on 127.0.0.1")
            held.append(holder)
            ports[name] = int(holder.getsockname()[1])
    finally:
        for holder in held:
            holder.close()
    return ports


def _bound(port: int) -> socket.socket | None:
    holder = socket.socket()
    try:
        holder.bind(("127.0.0.1", port))
    except OSError:
        holder.close()
        return None
    return holder
