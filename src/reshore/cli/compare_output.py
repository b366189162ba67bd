"""What a comparison shows in the terminal: verdicts, and the targets side by side."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from reshore.cli.output import print_aligned
from reshore.evals.compare import words
from reshore.evals.compare.judged import judge_notes, told
from reshore.evals.compare.report import Contest, Estimate, Report, Side, Spread
from reshore.evals.compare.verdict import with_margin

Row = Sequence[str | Text]
_Write = Callable[[Estimate | None, words.Written], str]

_MEASURED = (
    *("CLASS", "TARGET", "RIGHT", "TTFT p50", "p95", "TOTAL p50", "p95", "TOKENS"),
    *("PER 1000", "FAILED"),
)
_NARROW = (0, 1, 2, 3, 5, 8, 9)

_COLOURS = {"ready": "green", "not ready": "red", "open": "yellow"}
# What all columns take; a narrower terminal has numbers without their intervals.
_WIDE = 180
# Below this the tails and the tokens are left to the page.
_MIDDLING = 120


def print_report(report: Report) -> None:
    """Verdicts first. What does not fit into the terminal is in the page."""
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDE
    wide = columns >= _WIDE
    contests = ((group.name, each) for group in report.groups for each in group.contests)
    sides = ((group.name, each) for group in report.groups for each in group.sides)
    if wide:
        _print(
            ("CLASS", "TARGET", "VERDICT", "NET WIN", "W/T/L/?", "DECIDED BY"),
            (_verdict(name, each) for name, each in contests),
        )
    else:
        _print(
            ("CLASS", "TARGET", f"VERDICT {with_margin(report.margin)}", "W/T/L/?"),
            (_verdict(name, each, short=True) for name, each in contests),
        )
    for notes in judge_notes(report):
        for line in told(notes):
            print(line)
    print()
    write = words.between if wide else words.alone
    rows = (_measured(name, each, write) for name, each in sides)
    shown = range(len(_MEASURED)) if columns >= _MIDDLING else _NARROW
    _print([_MEASURED[place] for place in shown], ([row[place] for place in shown] for row in rows))


def _verdict(group: str, contest: Contest, *, short: bool = False) -> Row:
    counts = (contest.wins, contest.ties, contest.losses, contest.undecided)
    verdict = contest.verdict
    tallied = "/".join(map(str, counts))
    style = _COLOURS[verdict.word]
    if short:
        # The margin stands in the title.
        return group, contest.target, Text(verdict.brief, style=style), tallied
    return (
        group,
        contest.target,
        Text(verdict.text, style=style),
        words.net_win(contest),
        tallied,
        words.decided(contest),
    )


def _measured(group: str, side: Side, write: _Write) -> Row:
    return (
        group,
        side.target,
        words.quality(side) if write is words.between else write(side.quality, words.percent),
        *_quantiles(side.ttft_ms, write),
        *_quantiles(side.total_ms, write),
        write(side.completion_tokens, words.tokens),
        write(side.usd_per_1000, words.dollars),
        f"{side.failed}/{side.answers}",
    )


def _quantiles(spread: Spread | None, write: _Write) -> tuple[str, str]:
    if spread is None:
        return "-", "-"
    return write(spread.p50, words.span), write(spread.p95, words.span)


def _print(titles: Sequence[str], rows: Iterator[Row]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, title in enumerate(titles):
        # Names give way before numbers do.
        table.add_column(title, overflow="fold", no_wrap=place > 2)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    print_aligned(table)
