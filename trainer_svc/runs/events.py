"""The event log of a run: one contract message per line, append-only, numbered across resumptions."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

from google.protobuf import json_format

from xenolith.v1 import trainer_pb2

__all__ = ["EventLog", "last_steps"]

Event = trainer_pb2.WatchRunResponse
Listener = Callable[[Event], None]


class EventLog:
    """Events of one run, on disk and in memory; safe to write from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._events = _read(path)

    def append(self, event: Event) -> Event:
        """Number, stamp and keep an event, then tell the listeners."""
        with self._lock:
            event.sequence = self._events[-1].sequence + 1 if self._events else 1
            event.time.GetCurrentTime()
            # Not synced: a lost tail is repeated by the resumed run, and marked as a repetition.
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(_line(event))
            self._events.append(event)
            listeners = list(self._listeners)
        for listener in listeners:
            listener(event)
        return event

    def after(self, sequence: int) -> list[Event]:
        """Give the events with a larger sequence number."""
        with self._lock:
            # Sequences rise by one from 1, so they are positions.
            return self._events[sequence:]

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call the listener, from the writing thread, with every further event; returns how to stop that."""
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock:
                self._listeners.remove(listener)

        return unsubscribe


def last_steps(events: list[Event]) -> list[trainer_pb2.StepEvent]:
    """Give each step once, in order; a repetition replaces what was repeated."""
    steps = {event.step.step: event.step for event in events if event.WhichOneof("event") == "step"}
    return [steps[step] for step in sorted(steps)]


def _line(event: Event) -> str:
    document = json_format.MessageToDict(event, preserving_proto_field_name=True)
    return json.dumps(document, ensure_ascii=False) + "\n"


def _read(path: Path) -> list[Event]:
    """Read the log, cutting off a line that a kill left unfinished."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with path.open("r+b") as stream:
            stream.truncate(len(whole))
    events = [json_format.Parse(line, Event()) for line in whole.decode().splitlines()]
    # A trainer killed beside its successor may have written a number twice; a watcher that goes by numbers
    # would then be sent the same event for ever.
    for position, event in enumerate(events, start=1):
        event.sequence = position
    return events
