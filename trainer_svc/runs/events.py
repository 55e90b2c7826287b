"""The event log of a run: one contract message per line, append-only, numbered across resumptions."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

from google.protobuf import json_format

from trainer_svc.errors import BrokenRunError
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
        self._events, self._torn_at = _read(path)
        self._unwritten: list[Event] = []

    def append(self, event: Event, *, told_anyway: bool = False) -> Event:
        """Number, stamp and keep an event, then tell the listeners.

        Parameters
        ----------
        event
            What happened; its number and time are set here.
        told_anyway
            Tell the listeners also where it cannot be written, and write it with the next one that can.

        Raises
        ------
        OSError
            It cannot be written; the file is as before.
        """
        with self._lock:
            event.sequence = self._events[-1].sequence + 1 if self._events else 1
            event.time.GetCurrentTime()
            try:
                self._write([*self._unwritten, event])
                self._unwritten = []
            except OSError:
                if not told_anyway:
                    raise
                self._unwritten.append(event)
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

    def _write(self, events: list[Event]) -> None:
        data = "".join(map(_line, events)).encode()
        # Not synced: a lost tail is repeated by the resumed run, and marked as a repetition.
        with self._path.open("ab", buffering=0) as stream:
            if self._torn_at is not None:
                stream.truncate(self._torn_at)
                self._torn_at = None
            before = stream.seek(0, os.SEEK_END)
            try:
                left = memoryview(data)
                while left:
                    left = left[stream.write(left) :]
            except OSError:
                stream.truncate(before)
                raise

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


def _read(path: Path) -> tuple[list[Event], int | None]:
    """Read the log, and say where a line begins that a kill left unfinished; None if there is none.

    Raises
    ------
    BrokenRunError
        A line is none of ours.
    """
    if not path.exists():
        return [], None
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    events = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            events.append(json_format.Parse(line, Event()))
        except (ValueError, TypeError, AttributeError, json_format.ParseError) as error:
            raise BrokenRunError(
                f"line {number} of {path} cannot be read: {error}; put it right or remove it"
            ) from error
    # A trainer killed beside its successor may have written a number twice; a watcher that goes by numbers
    # would then be sent the same event for ever.
    for position, event in enumerate(events, start=1):
        event.sequence = position
    return events, len(whole) if len(whole) < len(data) else None
