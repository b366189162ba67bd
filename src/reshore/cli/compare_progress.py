"""Bars on stderr while `reshore compare` asks. Without a terminal there are none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from rich import progress as bars
from rich.console import Console

from reshore.evals.compare.aims import Aim
from reshore.evals.compare.answers import Answer, AnswerFile
from reshore.evals.compare.prompts import Prompt
from reshore.evals.compare.running import missing
from reshore.evals.scoring import Compared


@contextlib.contextmanager
def asking(
    prompts: Sequence[Prompt], targets: Sequence[Aim], kept: AnswerFile
) -> Iterator[Callable[[Answer], None]]:
    """A bar for each target, to be told of each answer."""
    tasks: dict[str, bars.TaskID] = {}
    failed = dict.fromkeys((target.text for target in targets), 0)
    with _bars() as shown:
        for target in targets:
            answered = len(prompts) - len(missing(prompts, target, kept))
            tasks[target.text] = shown.add_task(
                target.text, total=len(prompts), completed=answered, failed=""
            )

        def take(answer: Answer) -> None:
            failed[answer.target] += bool(answer.error)
            count = failed[answer.target]
            says = f"{count} failed" if count else ""
            shown.update(tasks[answer.target], advance=1, failed=says)

        yield take


@contextlib.contextmanager
def ruling(pairs: int) -> Iterator[Callable[[Compared], None]]:
    """A bar for the pairs that are ruled on, to be told of each."""
    with _bars() as shown:
        task = shown.add_task("which is better", total=pairs, failed="")
        yield lambda _: shown.update(task, advance=1)


def _bars() -> bars.Progress:
    console = Console(stderr=True)
    return bars.Progress(
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(bar_width=None),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[failed]}", style="red"),
        bars.TimeRemainingColumn(compact=True),
        console=console,
        expand=True,
        disable=not console.is_terminal,
    )
