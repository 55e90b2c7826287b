"""Progress: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from xenolith.optional import require

__all__ = ["Progress", "status"]

_LINE_EVERY_S = 10.0


class Progress:
    """Shows how far several tasks are.

    Parameters
    ----------
    console
        Where to.
    """

    def __init__(self, console: Any) -> None:
        self._console = console
        self._bar = _bar(console) if console.is_terminal else None
        self._tasks: dict[str, Any] = {}
        self._said: dict[str, float] = {}

    def update(self, task: str, done: float, total: float | None, note: str = "") -> None:
        """Show that `done` of `total` (None if unknown) are done of a task; `note` goes behind it."""
        if self._bar is None:
            self._say(task, done, total, note)
            return
        if task not in self._tasks:
            self._tasks[task] = self._bar.add_task(task, total=total, note="")
        self._bar.update(self._tasks[task], completed=done, total=total, note=note)

    def print(self, line: str) -> None:
        """Print a line above the bars."""
        self._console.print(line)

    def _say(self, task: str, done: float, total: float | None, note: str) -> None:
        now, last = time.monotonic(), self._said.get(task)
        finished = total is not None and done >= total
        # What has something to say is said each time.
        if note or finished or last is None or now - last >= _LINE_EVERY_S:
            self._said[task] = now
            of = f"/{total:g}" if total is not None else ""
            self._console.print(f"{task}: {done:g}{of} {note}".rstrip(), markup=False)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()


@contextmanager
def status(console: Any, text: str) -> Iterator[None]:
    """Show that something of unknown length goes on."""
    if console.is_terminal:
        with console.status(text):
            yield
    else:
        console.print(text)
        yield


def _bar(console: Any) -> Any:
    rich: Any = require("rich.progress", "cli")
    return rich.Progress(
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.fields[note]}"),
        console=console,
    )
