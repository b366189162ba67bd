"""How the commands of `reshore rollout` print."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from reshore.cli.output import human_span, note, print_aligned, print_json, print_table
from reshore.evals.rollouts.asked import Brief, Shown
from reshore.stats.planning import hours_text


def print_all(rollouts: list[Brief], as_json: bool, *, none: str) -> None:
    """Rollouts, a line each.

    Args:
        none: what is said where there are none.
    """
    if as_json:
        print_json(rollouts)
        return
    if not rollouts:
        note(none)
        return
    now_s = time.time()
    titles = ("ROLLOUT", "NAME", "TO", "STATE", "SHARE", "STEP", "SINCE", "WHY")
    print_table(titles, (_row(each, now_s) for each in rollouts))


def print_status(shown: Shown, as_json: bool) -> None:
    """Everything that is known of a rollout."""
    if as_json:
        print_json(shown)
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(shown):
        table.add_row(Text(name), Text(value))
    print_aligned(table)


def _row(each: Brief, now_s: float) -> tuple[str, ...]:
    return (
        str(each.number),
        each.route,
        each.to,
        each.state,
        f"{each.share:g} %",
        f"{each.step} of {each.steps}",
        human_span(max(now_s - each.since_s, 0)),
        each.note or "-",
    )


def _rows(shown: Shown) -> Iterator[tuple[str, str]]:
    found = shown.evidence
    by = f", by {shown.author}" if shown.author else ""
    why = f": {shown.why}" if shown.why else ""
    yield "rollout", f"{shown.number} of {shown.route} to {shown.to}{by}{why}"
    yield "state", shown.state + (f": {shown.note}" if shown.note else "")
    if shown.due:
        yield "due", shown.due
    yield "share", f"{shown.share:g} % {shown.to}"
    yield "step", f"{shown.step} of {len(shown.steps)} ({', '.join(_percents(shown))})"
    yield (
        "pairs",
        f"{found.pairs}: {found.wins} wins, {found.ties} ties, {found.losses} losses; "
        f"{found.undecided} undecided",
    )
    yield from _listed("guards", [str(reading) for reading in found.readings])
    yield from _listed("waits for", shown.missing)
    if shown.hours_to_go is not None:
        yield "forecast", f"next step in {hours_text(shown.hours_to_go)}"
    # The end of a rollout makes no version where it compared as little before.
    numbers = dict.fromkeys(number for number in (shown.began, *shown.versions) if number)
    yield "versions", ", ".join(map(str, numbers)) or "-"


def _percents(shown: Shown) -> Iterator[str]:
    """The steps, the one under way marked."""
    for number, step in enumerate(shown.steps, 1):
        yield f"{step:g} %" + ("*" if number == shown.step else "")


def _listed(name: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    """Lines under one name, which stands at the first of them."""
    for number, line in enumerate(lines):
        yield "" if number else name, line
