"""The progress of a pull: bars on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich import progress as bars
from rich.console import Console

from reshore.cli.output import human_bytes, note
from reshore.models.progress import OnProgress, Progress

_STEP_PERCENT = 20  # between two lines about one blob


@contextlib.contextmanager
def shown_progress() -> Iterator[OnProgress]:
    """What a pull reports to inside the block. Everything goes to stderr."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines().show
        return
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(bar_width=None),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(compact=True),
    )
    with bars.Progress(*columns, console=console, expand=True) as display:
        yield _Bars(display).show


class _Bars:
    """A bar a blob; what is about no blob is a line above the bars."""

    def __init__(self, display: bars.Progress) -> None:
        self._display = display
        self._tasks: dict[str, bars.TaskID] = {}
        self._said = ""

    def show(self, event: Progress) -> None:
        if event.digest is None or event.total is None:
            self._say(event.status)
            return
        task = self._tasks.get(event.digest)
        if task is None:
            task = self._display.add_task(event.status, total=event.total)
            self._tasks[event.digest] = task
        self._display.update(task, total=event.total, completed=event.completed or 0)

    def _say(self, status: str) -> None:
        if status != self._said:
            self._said = status
            self._display.console.print(status, markup=False, highlight=False)


class _Lines:
    """A line for each new status, and one for each further fifth of a blob."""

    def __init__(self) -> None:
        self._said = ""

    def show(self, event: Progress) -> None:
        line = event.status
        if event.total and event.completed is not None:
            percent = 100 * event.completed // event.total // _STEP_PERCENT * _STEP_PERCENT
            line += f": {percent} % of {human_bytes(event.total)}"
        if line != self._said:
            self._said = line
            note(line)
