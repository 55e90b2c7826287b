"""Addresses of the page, and what each gives."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from importlib import resources
from typing import Any
from urllib.parse import parse_qs

import grpc
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from trainer_svc.errors import BrokenRunError, NoSuchRunError
from trainer_svc.page.gate import COOKIE, SESSION_S, Gate
from trainer_svc.page.headers import SafeHeaders
from trainer_svc.page.health import ServicesHealth
from trainer_svc.page.pareto import pareto_document
from trainer_svc.page.runs import Runs, event_document, run_document, to_json
from trainer_svc.page.structures import (
    MOST_DRAWN,
    MOST_PICKED,
    MOST_ROWS,
    SOURCES,
    StructureTable,
    Tables,
    Wanted,
    drawing,
)
from trainer_svc.report.theme import SERIES
from trainer_svc.runs.watching import watch
from xenolith.errors import (
    AuthenticationError,
    InvalidArgumentError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    XenolithError,
)
from xenolith.serving import Worker
from xenolith.v1 import trainer_pb2

__all__ = ["page_app"]

log = structlog.get_logger(__name__)

_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
}
_FILES = {
    "page.css": "text/css",
    "main.js": "text/javascript",
    "charts.js": "text/javascript",
    "crystal.js": "text/javascript",
    "rows.js": "text/javascript",
    "structures.js": "text/javascript",
    "text.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_MOST_RUNS = 200
_MOST_STREAMS = 64
_STREAM_S = 600.0
"""Life of a stream of events; browsers open the next one, for which the token is looked at again."""
_QUIET_S = 15.0
"""Silence after which a stream says that it lives."""
_LONGEST_FORM = 4_096

Endpoint = Callable[[Request], Awaitable[Response]]


def page_app(runs: Runs, health: ServicesHealth, gate: Gate, worker: Worker, *, secure: bool) -> ASGIApp:
    """Return the page as an ASGI application.

    Parameters
    ----------
    runs
        The trainer's runs.
    health
        The services' health.
    gate
        Who is let in.
    worker
        Thread for tables and files; one, so that many who look do not keep the trainer from its calls.
    secure
        Whether it is served over TLS.
    """
    page = _Page(runs, health, gate, worker, secure=secure)
    return SafeHeaders(Starlette(routes=page.routes(), exception_handlers={XenolithError: _refusal}))


class _Page:
    def __init__(
        self, runs: Runs, health: ServicesHealth, gate: Gate, worker: Worker, *, secure: bool
    ) -> None:
        self._runs, self._health, self._gate, self._secure = runs, health, gate, secure
        self._worker = worker
        self._tables = Tables()
        self._streams = 0

    def routes(self) -> list[Route]:
        return [
            Route("/", self._index),
            Route("/login", self._sign_in_form),
            Route("/login", self._sign_in, methods=["POST"]),
            Route("/logout", self._sign_out, methods=["POST"]),
            Route("/static/{name}", _static),
            self._route("/api/health", self._services, like="ListRuns"),
            self._route("/api/runs", self._list, like="ListRuns"),
            self._route("/api/runs/{name}", self._run, like="GetRun"),
            self._route("/api/runs/{name}/events", self._events, like="WatchRun"),
            self._route("/api/runs/{name}/pareto", self._pareto, like="GetArtifact"),
            self._route("/api/runs/{name}/structures/{source}", self._structures, like="GetArtifact"),
            self._route("/api/runs/{name}/structures/{source}/{row}", self._structure, like="GetArtifact"),
            self._route("/runs/{name}/structures/{source}/{file}", self._structure_file, like="GetArtifact"),
            self._route("/runs/{name}/files/{artifact:path}", self._artifact, like="GetArtifact"),
        ]

    def _route(self, path: str, endpoint: Endpoint, *, like: str) -> Route:
        """Route of what needs the role of a method of the trainer's."""

        async def checked(request: Request) -> Response:
            self._gate.check(request, like)
            return await endpoint(request)

        return Route(path, checked)

    async def _index(self, request: Request) -> Response:
        try:
            self._gate.check(request, "ListRuns")
        except AuthenticationError:
            return RedirectResponse("/login", 303)
        return _html("index.html", open_to_all="true" if self._gate.open else "false")

    async def _sign_in_form(self, request: Request) -> Response:
        return _html("login.html", problem="")

    async def _sign_in(self, request: Request) -> Response:
        if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            raise PermissionDeniedError("another site's page cannot sign in here")
        token = parse_qs((await _body(request)).decode(errors="replace")).get("token", [""])[0].strip()
        try:
            session = self._gate.enter(token)
        except (AuthenticationError, PermissionDeniedError) as error:
            log.warning("sign-in refused", reason=type(error).__name__)
            known = isinstance(error, PermissionDeniedError)
            problem = "This token may not see runs." if known else "No caller has this token."
            return _html("login.html", status=403 if known else 401, problem=problem)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE, session, max_age=SESSION_S, httponly=True, samesite="strict", secure=self._secure
        )
        return answer

    async def _sign_out(self, request: Request) -> Response:
        self._gate.leave(request)
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE)
        return answer

    async def _services(self, request: Request) -> Response:
        return _json({"services": await self._health.document()})

    async def _list(self, request: Request) -> Response:
        text = request.query_params.get("text", "").lower()
        names = [name for name in await self._runs.names() if text in name.lower()]
        offset, limit = _number(request, "offset", 0), _number(request, "limit", 100, most=_MOST_RUNS)
        rows = await self._runs.rows(names[offset : offset + limit])
        return _json({"total": len(names), "offset": offset, "rows": rows})

    async def _run(self, request: Request) -> Response:
        name = request.path_params["name"]
        try:
            run_log = await self._runs.log(name)
        except BrokenRunError:
            record = await self._runs.record(name)
            return _json({"name": name, "state": "FAILED", "active": False, "message": record.message})
        return Response(await self._worker.run(_run_json, run_log), media_type="application/json")

    async def _events(self, request: Request) -> Response:
        if self._streams >= _MOST_STREAMS:
            raise OverloadedError(f"{_MOST_STREAMS} pages already watch a run; close one", retry_after_s=30.0)
        run_log = await self._runs.log_to_watch(request.path_params["name"])
        after = _number(request, "after", 0)
        # A browser that was cut off says where it was.
        if (last := request.headers.get("last-event-id", "")).isdecimal() and len(last) < 19:
            after = max(after, int(last))
        events = self._counted(_stream(watch(run_log, after)))
        return StreamingResponse(events, media_type="text/event-stream")

    async def _counted(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self._streams += 1
        try:
            async for piece in stream:
                yield piece
        finally:
            self._streams -= 1

    async def _pareto(self, request: Request) -> Response:
        directory = await self._runs.directory(request.path_params["name"])

        def compute() -> bytes:
            found = {source: self._tables.get(directory, source) for source in SOURCES}
            return to_json(pareto_document({source: table for source, table in found.items() if table}))

        return Response(await self._worker.run(compute), media_type="application/json")

    async def _structures(self, request: Request) -> Response:
        name, source = request.path_params["name"], request.path_params["source"]
        directory, run = await self._runs.directory(name), await self._runs.record(name)
        drawn = request.query_params.get("drawn") == "true"
        offset = _number(request, "offset", 0)
        limit = _number(request, "limit", MOST_DRAWN, most=MOST_DRAWN if drawn else MOST_ROWS)
        wanted = Wanted(
            text=request.query_params.get("text", ""),
            msun=request.query_params.get("msun") == "true",
            sort=request.query_params.get("sort", "best"),
            descending=request.query_params.get("descending") == "true",
            suspicious_below=run.config.suspicious_below,
        )

        def compute() -> bytes:
            table = self._tables.get(directory, source)
            if table is None:
                return to_json({"total": 0, "offset": offset, "rows": []})
            order = table.order(wanted)
            chosen = [int(row) for row in order[offset : offset + limit]]
            rows = [table.row(row, wanted.suspicious_below) for row in chosen]
            if drawn:
                for row, crystal in zip(rows, table.crystals(chosen), strict=True):
                    row["drawing"] = drawing(crystal)
            return to_json({"total": len(order), "offset": offset, "rows": rows})

        return Response(await self._worker.run(compute), media_type="application/json")

    async def _structure(self, request: Request) -> Response:
        name, row = request.path_params["name"], _whole("row", request.path_params["row"])
        directory, run = await self._runs.directory(name), await self._runs.record(name)
        table = await self._worker.run(self._tables.get, directory, request.path_params["source"])
        if table is None:
            raise NotFoundError(f"the run has no {request.path_params['source']} yet")
        document = table.row(row, run.config.suspicious_below)
        return _json(document | {"drawing": drawing(table.crystals([row])[0])})

    async def _structure_file(self, request: Request) -> Response:
        source = request.path_params["source"]
        stem, _, suffix = request.path_params["file"].rpartition(".")
        directory = await self._runs.directory(request.path_params["name"])
        table = await self._worker.run(self._tables.get, directory, source)
        if table is None:
            raise NotFoundError(f"the run has no {source} yet")
        if stem == "picked":
            rows = _rows(request.query_params.get("rows", ""), table)
        elif stem.isdecimal() and len(stem) < 10:
            rows = _rows(stem, table)
        else:
            raise NotFoundError("structures are called by their row: 12.cif, 12.extxyz, picked.zip?rows=1,2")
        return await self._worker.run(_structures_file, table, rows, stem, suffix, source)

    async def _artifact(self, request: Request) -> Response:
        name, artifact = request.path_params["name"], request.path_params["artifact"]
        directory = await self._runs.directory(name)
        artifacts = await self._worker.run(directory.artifacts)
        if artifact not in artifacts:
            raise NoSuchRunError(
                f"run {name!r} has no such file; it has: {', '.join(artifacts) or 'none yet'}"
            )
        return FileResponse(
            directory.path / artifact,
            media_type=artifacts[artifact],
            filename=f"{name}-{artifact.replace('/', '-')}",
        )


def _run_json(run_log: Any) -> bytes:
    return to_json(run_document(run_log))


async def _stream(events: AsyncGenerator[trainer_pb2.WatchRunResponse, None]) -> AsyncIterator[bytes]:
    """Events of a run as a browser's EventSource reads them; ``end`` comes last, once the run has ended."""
    ends = asyncio.get_running_loop().time() + _STREAM_S
    coming: asyncio.Future[trainer_pb2.WatchRunResponse | None] | None = None
    try:
        while asyncio.get_running_loop().time() < ends:
            if coming is None:
                coming = asyncio.ensure_future(_next(events))
            done, _ = await asyncio.wait({coming}, timeout=_QUIET_S)
            if not done:
                yield b": alive\n\n"
                continue
            event, coming = coming.result(), None
            if event is None:
                yield b"event: end\ndata: {}\n\n"
                return
            yield b"id: %d\ndata: %s\n\n" % (event.sequence, to_json(event_document(event)))
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.wait({coming})
        await events.aclose()


async def _next(events: AsyncIterator[trainer_pb2.WatchRunResponse]) -> trainer_pb2.WatchRunResponse | None:
    return await anext(events, None)


def _structures_file(table: StructureTable, rows: list[int], stem: str, suffix: str, source: str) -> Response:
    name = source if stem == "picked" else table.file_name(rows[0])
    if suffix == "extxyz":
        return _download(table.extxyz(rows).encode(), f"{name}.extxyz", "chemical/x-extxyz")
    if suffix == "zip":
        return _download(table.cif_archive(rows), f"{name}.zip", "application/zip")
    if suffix == "cif" and len(rows) == 1:
        return _download(table.cif(rows[0]).encode(), f"{name}.cif", "chemical/x-cif")
    raise NotFoundError("structures come as .cif (one), .zip (of CIF files) and .extxyz")


def _download(data: bytes, name: str, media_type: str) -> Response:
    return Response(
        data, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'}
    )


def _rows(text: str, table: StructureTable) -> list[int]:
    """Read numbers of rows separated by commas."""
    parts = text.split(",")
    if not 1 <= len(parts) <= MOST_PICKED or not all(part.isdecimal() and len(part) < 10 for part in parts):
        raise InvalidArgumentError(f"rows: expected 1 to {MOST_PICKED} numbers separated by commas")
    rows = [int(part) for part in parts]
    if max(rows) >= len(table):
        raise NotFoundError(f"there is no structure {max(rows)}; there are {len(table)}")
    return rows


def _number(request: Request, name: str, default: int, *, most: int = 2**53) -> int:
    return _whole(name, request.query_params.get(name, str(default)), most)


def _whole(name: str, text: str, most: int = 2**53) -> int:
    if not text.isdecimal() or len(text) > 16 or int(text) > most:
        raise InvalidArgumentError(f"{name}: expected a whole number from 0 to {most}")
    return int(text)


async def _body(request: Request) -> bytes:
    data = b""
    async for piece in request.stream():
        data += piece
        if len(data) > _LONGEST_FORM:
            raise InvalidArgumentError(f"a form has at most {_LONGEST_FORM} bytes")
    return data


async def _refusal(_request: Request, error: Exception) -> Response:
    status = _STATUS.get(getattr(error, "code", grpc.StatusCode.UNKNOWN), 500)
    return _json({"error": str(error)[:1_200]}, status)


def _json(document: Any, status: int = 200) -> Response:
    return Response(to_json(document), status, media_type="application/json")


def _html(file: str, *, status: int = 200, **fields: str) -> Response:
    text = _content(file).decode()
    for name, value in fields.items():
        text = text.replace(f"{{{name}}}", value)
    return Response(text, status, media_type="text/html")


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    headers = {"cache-control": "no-cache"}
    if name == "theme.css":
        colours = "".join(f"--series-{index}:{colour};" for index, colour in enumerate(SERIES))
        return Response(f":root{{{colours}}}", media_type="text/css", headers=headers)
    if name == "report.css":
        style = resources.files("trainer_svc.report").joinpath("style.css").read_bytes()
        return Response(style, media_type="text/css", headers=headers)
    if name not in _FILES:
        raise NotFoundError("the page has no such file")
    return Response(_content(name), media_type=_FILES[name], headers=headers)


def _content(file: str) -> bytes:
    return resources.files("trainer_svc.page").joinpath("static", file).read_bytes()
