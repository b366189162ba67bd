"""What a comparison shows in the terminal: bars while it asks, and tables when it has asked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from rich import progress as bars
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reshore.cli.output import print_aligned
from reshore.evals.compare import words
from reshore.evals.compare.aims import Aim
from reshore.evals.compare.answers import Answer, AnswerFile
from reshore.evals.compare.judged import judge_notes, told
from reshore.evals.compare.prompts import Prompt
from reshore.evals.compare.report import Contest, Report, Side
from reshore.evals.compare.running import missing
from reshore.evals.scoring import Compared

T = TypeVar("T")

_COLOURS = {"ready": "green", "not ready": "red", "open": "yellow"}


@contextlib.contextmanager
def asking(
    prompts: Sequence[Prompt], targets: Sequence[Aim], kept: AnswerFile
) -> Iterator[Callable[[Answer], None]]:
    """A bar for each target, to be told of each answer. Without a terminal there is none."""
    console = Console(stderr=True)
    columns = (
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(bar_width=None),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[failed]}", style="red"),
        bars.TimeRemainingColumn(compact=True),
    )
    shown = bars.Progress(*columns, console=console, expand=True, disable=not console.is_terminal)
    with shown:
        tasks, failed = {}, dict.fromkeys((target.text for target in targets), 0)
        for target in targets:
            left = len(missing(prompts, target, kept))
            task = shown.add_task(target.text, total=len(prompts), failed="")
            shown.update(task, completed=len(prompts) - left)
            tasks[target.text] = task

        def take(answer: Answer) -> None:
            failed[answer.target] += bool(answer.error)
            count = failed[answer.target]
            shown.update(tasks[answer.target], advance=1, failed=f"{count} failed" if count else "")

        yield take


@contextlib.contextmanager
def ruling(pairs: int) -> Iterator[Callable[[Compared], None]]:
    """A bar for the pairs that are ruled on, to be told of each; without a terminal, none."""
    console = Console(stderr=True)
    columns = (
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(bar_width=None),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(compact=True),
    )
    with bars.Progress(
        *columns, console=console, expand=True, disable=not console.is_terminal
    ) as shown:
        task = shown.add_task("which is better", total=pairs)
        yield lambda _: shown.update(task, advance=1)


def print_report(report: Report) -> None:
    """Verdicts first, then the targets side by side."""
    _print(
        ("CLASS", "TARGET", "VERDICT", "NET WIN", "W/T/L/?", "DECIDED BY"),
        (
            (group.name if first else "", *_verdict(contest))
            for group in report.groups
            for first, contest in _marked(group.contests)
        ),
    )
    for notes in judge_notes(report):
        for line in told(notes):
            print(line)
    print()
    _print(
        (
            "CLASS",
            "TARGET",
            "RIGHT",
            "TTFT p50",
            "TTFT p95",
            "TOTAL p50",
            "TOTAL p95",
            "TOKENS",
            "PER 1000",
            "FAILED",
        ),
        (
            (group.name if first else "", *_measured(side))
            for group in report.groups
            for first, side in _marked(group.sides)
        ),
    )


def _verdict(contest: Contest) -> tuple[str | Text, ...]:
    counts = (contest.wins, contest.ties, contest.losses, contest.undecided)
    verdict = contest.verdict
    return (
        contest.target,
        Text(verdict.text, style=_COLOURS[verdict.word]),
        words.net_win(contest),
        "/".join(map(str, counts)),
        words.decided(contest),
    )


def _measured(side: Side) -> tuple[str, ...]:
    first, total = side.ttft_ms, side.total_ms
    return (
        side.target,
        words.quality(side),
        words.between(first.p50 if first else None, words.span),
        words.between(first.p95 if first else None, words.span),
        words.between(total.p50 if total else None, words.span),
        words.between(total.p95 if total else None, words.span),
        words.between(side.completion_tokens, words.tokens),
        words.between(side.usd_per_1000, words.dollars),
        f"{side.failed}/{side.answers}",
    )


def _marked(found: Sequence[T]) -> Iterator[tuple[bool, T]]:
    return ((place == 0, each) for place, each in enumerate(found))


def _print(titles: Sequence[str], rows: Iterator[tuple[str | Text, ...]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    print_aligned(table)
