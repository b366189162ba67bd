"""Deletes what is older, or more, than `[ledger]` keeps: a little at a time, beside the writing."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Column, Connection, Table

from reshore.config import LedgerConfig
from reshore.ledger.schema import attempts, pairs, requests, texts

# Rows that one transaction deletes: some milliseconds, in which entries wait in memory.
_ROWS = 500
_DAY_MS = 86_400_000

# What is kept for `retain_days`, and the time of each row.
_KEPT = ((requests, requests.c.arrived_ms), (attempts, attempts.c.at_ms), (pairs, pairs.c.at_ms))


class Retention:
    """What is to be kept."""

    def __init__(self, config: LedgerConfig) -> None:
        self._days = config.retain_days
        self._text_days = config.retain_texts_days
        self._most_bytes = config.max_bytes

    def sweep(self, connection: Connection, now_s: float) -> bool:
        """Delete some of the oldest rows that are not kept; whether there may be more."""
        now_ms = round(now_s * 1000)
        more = False
        if self._days:
            before = now_ms - self._days * _DAY_MS
            for table, time in _KEPT:
                more |= _delete(connection, table, time, before)
        if self._text_days:
            before = now_ms - self._text_days * _DAY_MS
            more |= _delete(connection, texts, texts.c.at_ms, before)
            more |= _strip(connection, before)
        if self._most_bytes and connection.dialect.name == "sqlite":
            more |= self._shrink(connection)
        return more

    def _shrink(self, connection: Connection) -> bool:
        """Delete the oldest requests if they take too much; the file keeps its size, for others."""
        if _used_bytes(connection) <= self._most_bytes:
            return False
        limit = _at(connection, requests.c.arrived_ms)
        if limit is None:
            return False
        for table, time in (*_KEPT, (texts, texts.c.at_ms)):
            connection.execute(sa.delete(table).where(time <= limit))
        return True


def _delete(connection: Connection, table: Table, time: Column[int], before_ms: int) -> bool:
    limit = _at(connection, time)
    if limit is None or limit >= before_ms:
        connection.execute(sa.delete(table).where(time < before_ms))
        return False
    connection.execute(sa.delete(table).where(time <= limit))
    return True


def _strip(connection: Connection, before_ms: int) -> bool:
    """Take the texts out of pairs, which are kept for longer; whether there may be more."""
    old = sa.select(pairs.c.seq).where(pairs.c.at_ms < before_ms, pairs.c.prompt.is_not(None))
    done = connection.execute(
        sa.update(pairs)
        .where(pairs.c.seq.in_(old.order_by(pairs.c.at_ms).limit(_ROWS)))
        .values(prompt=None, local_text=None, cloud_text=None)
    )
    return done.rowcount == _ROWS


def _at(connection: Connection, time: Column[int]) -> int | None:
    """The time of the oldest row but so many; of the newest where there are fewer."""
    oldest = sa.select(time).order_by(time)
    found = connection.execute(oldest.offset(_ROWS - 1).limit(1)).scalar()
    if found is None:
        found = connection.execute(sa.select(sa.func.max(time))).scalar()
    return None if found is None else int(found)


def _used_bytes(connection: Connection) -> int:
    def pragma(name: str) -> int:
        return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())

    return (pragma("page_count") - pragma("freelist_count")) * pragma("page_size")
