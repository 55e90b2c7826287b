"""Log lines: structured, one per event, with the ids of the call and the run that they belong to.

Everything that a process says goes through one formatter: our own lines, those of libraries that use the
standard module (gRPC's Python part and asyncio among them), warnings, and exceptions that nobody caught. The
part of gRPC that is written in C++ prints to the terminal directly, in a form of its own, and is silenced
where a service's package is first imported: a failure that concerns a call reaches us as the call's status,
and the rest are handshakes of strangers, which come by the thousand. ``GRPC_VERBOSITY=info`` shows them.
"""

import logging
import sys
import threading
from types import TracebackType
from typing import Literal

import structlog

__all__ = ["configure_logging"]

log = structlog.get_logger(__name__)


def configure_logging(
    service: str, level: str = "info", style: Literal["console", "json"] = "console"
) -> None:
    """Send all lines to stderr, with `service` and the ids of the call on every one of them.

    Lines of libraries count from WARNING up.
    """
    named = _named(service)
    ours: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        named,
    ]
    last = _renderers(style)
    structlog.configure(
        processors=[*ours, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*ours, structlog.stdlib.ExtraAdder(), _logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def _renderers(style: Literal["console", "json"]) -> list[structlog.types.Processor]:
    if style == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,  # the rich one prints locals, tokens included
        )
    ]


def _named(service: str) -> structlog.types.Processor:
    def add(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        event.setdefault("service", service)
        return event

    return add


def _logger_name(
    _logger: object, _method: str, event: structlog.types.EventDict
) -> structlog.types.EventDict:
    record: logging.LogRecord = event["_record"]
    event.setdefault("logger", record.name)
    return event


def _uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    log.critical("process failed", exc_info=(kind, error, traceback))


def _uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is None or issubclass(arguments.exc_type, SystemExit):
        return
    name = arguments.thread.name if arguments.thread else ""
    log.critical(
        "thread failed",
        thread=name,
        exc_info=(arguments.exc_type, arguments.exc_value, arguments.exc_traceback),
    )
