"""The page's server: HTTP on an event loop and a thread of its own, so that no call has to wait for it."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from trainer_svc.page.app import page_app
from trainer_svc.page.gate import Gate
from trainer_svc.page.health import ServicesHealth
from trainer_svc.page.runs import Runs
from trainer_svc.training.manager import RunManager
from xenolith.errors import UnavailableError
from xenolith.serving import ServingSettings, Worker

__all__ = ["running_page"]

_MOST_CONNECTIONS = 256
_STOP_S = 2


@asynccontextmanager
async def running_page(
    manager: RunManager, serving: ServingSettings, *, port: int, host: str = "127.0.0.1"
) -> AsyncIterator[str]:
    """Serve the page of a manager's runs, which belongs to this event loop; yields its address.

    Parameters
    ----------
    manager
        All runs of the trainer.
    serving
        Of the trainer: the same tokens are asked for, and the same certificates shown and asked for.
    port, host
        Where to listen; port 0 is any free one.

    Raises
    ------
    UnavailableError
        The address cannot be listened on.
    """
    secure = serving.tls_cert is not None
    listening = _listen(host, port)
    worker = Worker("page")
    app = page_app(
        Runs(manager, asyncio.get_running_loop()),
        ServicesHealth(manager.services),
        Gate(serving.callers()),
        worker,
        secure=secure,
    )
    authority = serving.tls_client_ca or serving.tls_ca
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_STOP_S,
        ssl_certfile=serving.tls_cert,
        ssl_keyfile=serving.tls_key,
        ssl_ca_certs=str(authority) if secure and authority else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if secure and authority else ssl.CERT_NONE,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), name="page", daemon=True)
    thread.start()
    shown = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104  # compared only
    try:
        yield f"{'https' if secure else 'http'}://{shown}:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        await asyncio.to_thread(thread.join, _STOP_S + 3)
        listening.close()
        worker.close()


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        # Whoever connects from now on is answered once the thread runs.
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise UnavailableError(f"the page cannot listen on {host}:{port}: {error.strerror}") from error
    return listening
