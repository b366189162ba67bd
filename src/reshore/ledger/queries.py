"""What the ledger is asked: the last requests, those that come, and sums. Never all at once.

Every query has a limit or gives sums, so that a ledger of any size is asked in little memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection

from reshore.ledger.schema import attempts, requests

By = Literal["model", "asked", "route", "key", "side", "backend", "day"]
DAY_MS = 86_400_000
PAGE = 1000

# Rows of several gateways may become visible out of order: so many are looked at again.
_OVERLAP = 200

_GROUPS: Mapping[By, ColumnElement[Any]] = {
    "model": requests.c.model,
    "asked": requests.c.asked_model,
    "route": requests.c.route,
    "key": requests.c.key_id,
    "side": requests.c.side,
    "backend": requests.c.backend,
    "day": requests.c.arrived_ms // DAY_MS,
}

Row = dict[str, Any]


class Filter(Struct, frozen=True, kw_only=True):
    """Which requests are meant. None: any.

    Attributes:
        since_ms, until_ms: of their arrival, since the epoch; the end is not included.
        model: asked for or answering; `*` stands for any text, as in `route`.
        status: one (`429`), or a hundred of them (`4xx`).
        key: the first 8 hex digits of its SHA-256.
    """

    since_ms: int | None = None
    until_ms: int | None = None
    model: str | None = None
    route: str | None = None
    side: str | None = None
    status: str | None = None
    key: str | None = None

    def clauses(self) -> list[ColumnElement[bool]]:
        """The conditions, all of which must hold."""
        column, found = requests.c, []
        if self.since_ms is not None:
            found.append(column.arrived_ms >= self.since_ms)
        if self.until_ms is not None:
            found.append(column.arrived_ms < self.until_ms)
        if self.model is not None:
            found.append(_like(column.model, self.model) | _like(column.asked_model, self.model))
        if self.route is not None:
            # A route is a pattern itself: it may be meant as it is written.
            found.append((column.route == self.route) | _like(column.route, self.route))
        if self.side is not None:
            found.append(column.side == self.side)
        if self.status is not None:
            found.append(_status(self.status))
        if self.key is not None:
            found.append(column.key_id == self.key)
        return found


class Sum(Struct, frozen=True, kw_only=True):
    """What a group of requests comes to. Money is nano-dollars.

    Attributes:
        group: what they share; None where they have none of it.
        unpriced: requests of which some attempt's price is unknown; `cost` is without it.
        compared: requests of which both the cost and the price of the model asked for are known;
            `listed` and `spent` are that price and that cost, of these requests alone.
    """

    group: str | int | None
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost: int
    unpriced: int
    compared: int
    listed: int
    spent: int


def last(connection: Connection, which: Filter, limit: int) -> list[Row]:
    """The requests that were stored last, oldest of them first."""
    query = sa.select(requests).where(*which.clauses())
    found = connection.execute(query.order_by(requests.c.seq.desc()).limit(limit))
    return [dict(row) for row in found.mappings()][::-1]


def one(connection: Connection, request_id: str) -> tuple[Row, list[Row]] | None:
    """A request and its attempts, in their order; None if it is not in the ledger."""
    found = connection.execute(sa.select(requests).where(requests.c.request_id == request_id))
    request = found.mappings().first()
    if request is None:
        return None
    query = sa.select(attempts).where(attempts.c.request_id == request_id)
    rows = connection.execute(query.order_by(attempts.c.started_ms, attempts.c.number))
    return dict(request), [dict(row) for row in rows.mappings()]


def pages(connection: Connection, which: Filter, after: int = 0) -> Iterator[list[Row]]:
    """All requests in the order in which they were stored, some at a time."""
    while rows := _page(connection, which, after):
        yield rows
        after = rows[-1]["seq"]


class Follower:
    """Gives each request that is stored from now on, once."""

    def __init__(self, connection: Connection, which: Filter) -> None:
        self._which = which
        newest = connection.execute(sa.select(sa.func.max(requests.c.seq))).scalar() or 0
        self._seen = newest
        self._given: set[int] = set()
        for rows in pages(connection, which, newest - _OVERLAP):
            self._given.update(row["seq"] for row in rows)

    def news(self, connection: Connection) -> list[Row]:
        """Those since the last time, at most a page."""
        # The overlap and a page of news.
        rows = _page(connection, self._which, self._seen - _OVERLAP, PAGE + _OVERLAP)
        news = [row for row in rows if row["seq"] not in self._given]
        self._given.update(row["seq"] for row in news)
        if news:
            self._seen = max(self._seen, news[-1]["seq"])
        self._given = {seq for seq in self._given if seq > self._seen - _OVERLAP}
        return news


def sums(connection: Connection, which: Filter, by: By | None) -> list[Sum]:
    """Sums by what requests share, dearest first (days: in their order); of all without `by`."""
    group = _GROUPS[by] if by else sa.null()
    column = requests.c
    comparable = sa.and_(column.unpriced == 0, column.list_nano_usd.is_not(None))

    def total(value: ColumnElement[Any]) -> ColumnElement[Any]:
        return sa.func.coalesce(sa.func.sum(value), 0)

    def counted(condition: ColumnElement[bool]) -> ColumnElement[Any]:
        return total(sa.case((condition, 1), else_=0))

    query = sa.select(
        group.label("shared"),
        sa.func.count().label("requests"),
        total(column.prompt_tokens).label("prompt_tokens"),
        total(column.completion_tokens).label("completion_tokens"),
        total(column.cost_nano_usd).label("cost"),
        counted(column.unpriced > 0).label("unpriced"),
        counted(comparable).label("compared"),
        total(sa.case((comparable, column.list_nano_usd), else_=0)).label("listed"),
        total(sa.case((comparable, column.cost_nano_usd), else_=0)).label("spent"),
    ).where((column.attempts > 0) | column.prompt_tokens.is_not(None), *which.clauses())
    if by:
        # By its name: an expression with a value in it is, to PostgreSQL, another each time.
        first: ColumnElement[Any] = sa.asc("shared") if by == "day" else sa.desc("cost")
        query = query.group_by("shared").order_by(first, sa.desc("requests"))
    rows = connection.execute(query.limit(PAGE)).mappings()
    return [_sum(dict(row)) for row in rows if row["requests"]]


def _sum(row: Row) -> Sum:
    numbers = {name: int(row[name]) for name in Sum.__struct_fields__ if name != "group"}
    return Sum(group=row["shared"], **numbers)


def _page(connection: Connection, which: Filter, after: int, limit: int = PAGE) -> list[Row]:
    query = sa.select(requests).where(requests.c.seq > after, *which.clauses())
    found = connection.execute(query.order_by(requests.c.seq).limit(limit))
    return [dict(row) for row in found.mappings()]


def _like(column: ColumnElement[Any], pattern: str) -> ColumnElement[bool]:
    if "*" not in pattern:
        return column == pattern
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return column.like(escaped.replace("*", "%"), escape="\\")


def _status(status: str) -> ColumnElement[bool]:
    if status.endswith("xx"):
        least = int(status[:-2]) * 100
        return requests.c.status.between(least, least + 99)
    return requests.c.status == int(status)
