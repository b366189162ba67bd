"""`reshore cost`: what requests cost, and what the models that were asked for would have cost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer
from msgspec import Struct
from rich.table import Table
from rich.text import Text

from reshore.cli.ledger_options import (
    Key,
    Model,
    RouteName,
    SideName,
    Since,
    Until,
    check,
    moment_ms,
    now,
)
from reshore.cli.output import Json, note, print_aligned, print_json, visible
from reshore.config import load
from reshore.ledger.database import reading
from reshore.ledger.queries import DAY_MS, By, Filter, Sum, sums
from reshore.ledger.report import money

_TITLES = ("REQUESTS", "IN", "OUT", "COST", "LIST PRICE", "SAVED")


class Cost(Struct, frozen=True, kw_only=True):
    """What a group of requests comes to. Money in US dollars.

    Attributes:
        group: what they share, as `--by` says; None where they have none of it, or for all.
        cost_usd: of all attempts whose price is known.
        unpriced_requests: those of which some attempt's price is not.
        compared_requests: those for which cost and price of the model asked for are both known.
        compared_cost_usd, list_usd: that cost and that price, of them alone.
        saving_usd: the difference; None where nothing could be compared.
    """

    group: str | None
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    unpriced_requests: int
    compared_requests: int
    compared_cost_usd: float
    list_usd: float
    saving_usd: float | None


def command(
    by: Annotated[
        Literal["model", "asked", "route", "key", "side", "backend", "day"],
        typer.Option("--by", help="What a line of the table is."),
    ] = "model",
    since: Since = "30d",
    until: Until = None,
    model: Model = None,
    route: RouteName = None,
    side: SideName = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Show what requests cost and saved, the dearest first."""
    check(side, None)
    moment = now()
    which = Filter(
        since_ms=moment_ms(since, moment),
        until_ms=moment_ms(until, moment) if until else None,
        model=model,
        route=route,
        side=side,
        key=key,
    )
    with reading(load()) as connection:
        lines = sums(connection, which, by)
        totals = sums(connection, which, None)
    if as_json:
        print_json({"lines": [_cost(each, by) for each in lines], "total": _total(totals)})
        return
    _table(by, lines, totals)
    for total in totals:
        _explain(total)
    if not lines:
        note(f"no request in the ledger since {since}")


def _table(by: By, lines: list[Sum], totals: list[Sum]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(by.upper(), overflow="fold")
    for title in _TITLES:
        table.add_column(title, justify="right")
    for line in lines:
        table.add_row(*map(Text, (visible(_group(line, by) or "-"), *_cells(line))))
    if len(lines) > 1:
        for total in totals:
            table.add_row(*(Text(cell, style="bold") for cell in ("total", *_cells(total))))
    print_aligned(table)


def _cells(line: Sum) -> tuple[str, ...]:
    return (
        f"{line.requests:,}",
        f"{line.prompt_tokens:,}",
        f"{line.completion_tokens:,}",
        _known(line),
        money(line.listed) if line.compared else "?",
        _saved(line),
    )


def _known(line: Sum) -> str:
    """What is known of the cost; with `+ ?` where that is not all."""
    if not line.unpriced:
        return money(line.cost)
    return f"{money(line.cost)} + ?" if line.cost else "?"


def _saved(line: Sum) -> str:
    """The saving; with `*` where it is that of some of the requests."""
    if not line.compared:
        return "?"
    return money(line.listed - line.spent) + ("*" if line.compared < line.requests else "")


def _explain(total: Sum) -> None:
    """What the table leaves out, on stderr."""
    if total.unpriced:
        note(
            f"+ ?: {total.unpriced:,} of {total.requests:,} requests have an attempt whose price "
            'is unknown; set it in [prices."MODEL"] (docs/ledger.md)'
        )
    if total.compared and total.compared < total.requests:
        note(
            f"*: only {total.compared:,} of {total.requests:,} requests can be compared; they cost "
            f"{money(total.spent)}, and the models they asked for cost {money(total.listed)}"
        )


def _group(line: Sum, by: By) -> str | None:
    if line.group is None or by != "day":
        return None if line.group is None else str(line.group)
    return datetime.fromtimestamp(int(line.group) * DAY_MS / 1000, UTC).strftime("%Y-%m-%d")


def _cost(line: Sum, by: By) -> Cost:
    return Cost(
        group=_group(line, by),
        requests=line.requests,
        prompt_tokens=line.prompt_tokens,
        completion_tokens=line.completion_tokens,
        cost_usd=line.cost / 1e9,
        unpriced_requests=line.unpriced,
        compared_requests=line.compared,
        compared_cost_usd=line.spent / 1e9,
        list_usd=line.listed / 1e9,
        saving_usd=(line.listed - line.spent) / 1e9 if line.compared else None,
    )


def _total(totals: list[Sum]) -> Cost | None:
    return _cost(totals[0], "side") if totals else None
