"""Progress of long work, on the host: a bar on a terminal, a line every half minute elsewhere, and how fast it was."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

WORTH_A_LINE = 0.5  # seconds


class Reporter(Protocol):
    """Counts finished work."""

    def advance(self, n: int = 1) -> None: ...


class _Silent:
    def advance(self, n: int = 1) -> None:
        pass


class _Lines:
    """One line to stderr every `every` seconds."""

    def __init__(self, label: str, total: int | None, done: int, every: float = 30.0):
        self.label, self.total, self.done, self.every = label, total, done, every
        self.before, self.start, self.last = done, time.monotonic(), time.monotonic()

    def advance(self, n: int = 1) -> None:
        self.done += n
        if time.monotonic() - self.last >= self.every:
            self.last = time.monotonic()
            print(f"{self.label}: {self._state()}", file=sys.stderr, flush=True)

    def _state(self) -> str:
        passed = self.last - self.start
        if self.total is None:
            return f"{self.done} in {passed:.0f} s"
        rate = (self.done - self.before) / passed
        left = (self.total - self.done) / rate if rate else float("inf")
        return f"{self.done} of {self.total} ({left:.0f} s left)"


class _Bar:
    def __init__(self, progress, task, done: int):
        self.progress, self.task, self.done = progress, task, done

    def advance(self, n: int = 1) -> None:
        self.done += n
        self.progress.advance(self.task, n)


@contextmanager
def report(label: str, total: int | None, done: int = 0, show: bool | None = None) -> Iterator[Reporter]:
    """A reporter for `total` pieces of work of which `done` exist; `total` None where nobody knows how many there will
    be, so that no time left is promised. `show` None: a bar only on a terminal."""
    began = time.monotonic()
    if show is False:
        yield _Silent()
        return
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            reporter = _Bar(bar, bar.add_task(label, total=total, completed=done), done)
            yield reporter
    else:
        reporter = _Lines(label, total, done)
        yield reporter
    seconds = time.monotonic() - began
    if seconds >= WORTH_A_LINE:
        new = (reporter.done if total is None else total) - done
        print(f"{label}: {new:,} in {seconds:.1f} s, {new / seconds:,.0f} per second", file=sys.stderr, flush=True)
