"""`reshore requests`: what was asked, who answered, and what came of it."""

from __future__ import annotations

import itertools
import shutil
import sys
import time
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection

from reshore.cli.failure import ExitCode, Failure
from reshore.cli.ledger_options import (
    Key,
    Model,
    RouteName,
    SideName,
    Status,
    Until,
    check,
    moment_ms,
    now,
)
from reshore.cli.output import Json, note, print_aligned, print_json, visible
from reshore.cli.request_output import count, print_request, span, who
from reshore.config import Config, load
from reshore.ledger.database import reading
from reshore.ledger.export import export
from reshore.ledger.queries import Filter, Follower, Row, last, one, pages
from reshore.ledger.report import as_numbers, exported, money, saving

_POLL_S = 0.5
_SHOWN = 20
_LOOK_BACK = "30d"

# Titles with the widths that a followed table has, whose rows are not known beforehand. Texts are
# on the left, numbers (negative widths) on the right.
_COLUMNS = (
    ("TIME", 14),
    ("ASKED", 22),
    ("ANSWERED BY", 30),
    ("SIDE", 5),
    ("STATUS", -6),
    ("IN", -6),
    ("OUT", -6),
    ("TTFT", -8),
    ("TOTAL", -8),
    ("COST", -10),
    ("SAVED", -10),
)

# What a narrow terminal goes without: columns by the width below which they are left out.
_NAMES = ("ASKED", "ANSWERED BY")
_WIDE = {"SIDE": 125, "TTFT": 115, "IN": 100, "OUT": 100, "TIME": 70}


def command(
    request: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One request, with everything tried.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="A span (30m, 24h, 7d), a day (2026-01-31) or a time; 30d if not given.",
        ),
    ] = None,
    until: Until = None,
    model: Model = None,
    route: RouteName = None,
    side: SideName = None,
    status: Status = None,
    key: Key = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="How many are shown.")
    ] = _SHOWN,
    tail: Annotated[bool, typer.Option("--tail", "-f", help="Go on with those that come.")] = False,
    file: Annotated[
        Path | None,
        typer.Option("--export", metavar="FILE", help="Write all to a .csv or .parquet file."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the last requests, the newest at the bottom; or one, with everything that was tried."""
    check(side, status)
    if request is not None and any((since, until, model, route, side, status, key, tail, file)):
        raise Failure(ExitCode.USAGE, "an id means one request: it goes with --json alone")
    moment = now()
    since = since or (None if file else _LOOK_BACK)
    which = Filter(
        since_ms=moment_ms(since, moment) if since else None,
        until_ms=moment_ms(until, moment) if until else None,
        model=model,
        route=route,
        side=side,
        status=status,
        key=key,
    )
    config = load()
    with reading(config) as connection:
        if request is not None:
            _show(connection, request, as_json)
            return
        if file is not None:
            written = export(file, pages(connection, which))
            note(f"{written} request{'s' * (written != 1)} in {file}")
            return
        rows = last(connection, which, limit)
        follower = Follower(connection, which) if tail else None
    if follower is not None:
        _follow(config, follower, rows, as_json)
    elif as_json:
        print_json([as_numbers(exported(row)) for row in rows])
    else:
        _table(rows)
        if not rows:
            note("no such request in the ledger")


def _show(connection: Connection, request_id: str, as_json: bool) -> None:
    found = one(connection, request_id)
    if found is None:
        raise Failure(
            ExitCode.NOT_FOUND,
            f"there is no request '{request_id}' in the ledger; its id is the reply's header "
            "x-request-id",
        )
    print_request(*found, as_json)


def _follow(config: Config, follower: Follower, rows: list[Row], as_json: bool) -> None:
    """Print rows as they come, until Ctrl-C. Each look is a transaction of its own."""
    shown = _fitting()
    if not as_json:
        print(_line(tuple(title for title, _ in _COLUMNS), shown))
    while True:
        for row in rows:
            print(_json(row) if as_json else _line(_cells(row), shown))
        if rows:
            print(end="", flush=True)
        else:
            time.sleep(_POLL_S)
        rows = _news(reading(config), follower)


def _json(row: Row) -> str:
    return msgspec.json.encode(as_numbers(exported(row))).decode()


def _news(opened: AbstractContextManager[Connection], follower: Follower) -> list[Row]:
    with opened as connection:
        return follower.news(connection)


def _table(rows: list[Row]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    shown = _fitting()
    for title, width in itertools.compress(_COLUMNS, shown):
        table.add_column(
            title,
            overflow="fold",
            justify="right" if width < 0 else "left",
            no_wrap=title not in _NAMES,
        )
    for row in rows:
        table.add_row(*map(Text, itertools.compress(_cells(row), shown)))
    print_aligned(table)


def _line(cells: tuple[str, ...], shown: list[bool]) -> str:
    padded = (
        cell.rjust(-width) if width < 0 else cell.ljust(width)
        for cell, (_, width) in zip(cells, _COLUMNS, strict=True)
    )
    return "  ".join(itertools.compress(padded, shown)).rstrip()


def _fitting() -> list[bool]:
    """Which columns are shown: all of them where there is room, or no terminal."""
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else max(_WIDE.values())
    return [room >= _WIDE.get(title, 0) for title, _ in _COLUMNS]


def _cells(row: Row) -> tuple[str, ...]:
    return (
        datetime.fromtimestamp(row["arrived_ms"] / 1000).strftime("%m-%d %H:%M:%S"),
        visible(row["asked_model"] or "-"),
        visible(_who(row)),
        row["side"] or "-",
        f"{row['status'] or '-'}",
        count(row["prompt_tokens"]),
        count(row["completion_tokens"]),
        span(row["ttft_ms"]),
        span(row["total_ms"]),
        _cost(row),
        money(saving(row)),
    )


def _who(row: Row) -> str:
    """`qwen2.5:7b`, `openai/gpt-4o (Disconnected)` where it broke off; why nobody did."""
    name, error = row["model"], row["error"]
    if name is None or row["backend"] is None:
        return name or error or "-"
    return f"{who(row)} ({error})" if error else who(row)


def _cost(row: Row) -> str:
    if not row["attempts"] and row["prompt_tokens"] is None:
        return "-"
    return "?" if row["unpriced"] else money(row["cost_nano_usd"])
