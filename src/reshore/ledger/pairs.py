"""The pairs that the ledger has: what a router learns from, and what is reported of comparisons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection

from reshore.ledger.entry import PairTexts
from reshore.ledger.queries import PAGE
from reshore.ledger.schema import pairs
from reshore.routing.paired import Paired
from reshore.types import Target


class KeptPair(Struct, frozen=True, kw_only=True):
    """A pair as it was stored.

    Attributes:
        key: which API key asked, as in `Outcome.key`.
        texts: None where they were not kept, or not for so long.
    """

    paired: Paired
    key: str | None = None
    texts: PairTexts | None = None


class PairFilter(Struct, frozen=True, kw_only=True):
    """Which pairs are meant. None: any.

    Attributes:
        route: the pattern of their route, as it is written.
        since_ms, until_ms: of their arrival, since the epoch; the end is not included.
        with_texts: only those whose texts are there.
    """

    route: str | None = None
    source: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    with_texts: bool = False

    def clauses(self) -> list[ColumnElement[bool]]:
        """The conditions, all of which must hold."""
        column = pairs.c
        found: list[ColumnElement[bool]] = []
        if self.route is not None:
            found.append(column.route == self.route)
        if self.source is not None:
            found.append(column.source == self.source)
        if self.since_ms is not None:
            found.append(column.at_ms >= self.since_ms)
        if self.until_ms is not None:
            found.append(column.at_ms < self.until_ms)
        if self.with_texts:
            found.append(column.prompt.is_not(None))
        return found


def kept_pairs(connection: Connection, which: PairFilter) -> Iterator[KeptPair]:
    """All pairs that are meant, in the order in which they were stored; in little memory."""
    after = 0
    while True:
        query = sa.select(pairs).where(pairs.c.seq > after, *which.clauses())
        rows = connection.execute(query.order_by(pairs.c.seq).limit(PAGE)).mappings().all()
        for row in rows:
            yield _pair(dict(row))
        if len(rows) < PAGE:
            return
        after = rows[-1]["seq"]


def count_pairs(connection: Connection, which: PairFilter) -> int:
    """How many there are."""
    query = sa.select(sa.func.count()).select_from(pairs).where(*which.clauses())
    return connection.execute(query).scalar() or 0


def _pair(row: dict[str, Any]) -> KeptPair:
    paired = Paired(
        request_id=row["request_id"],
        source=row["source"],
        route=row["route"],
        arrived_s=row["at_ms"] / 1000,
        local=Target(side="local", backend="local", model=row["local_model"]),
        cloud=Target(side="cloud", backend=row["cloud_backend"], model=row["cloud_model"]),
        verdict=row["verdict"],
        by=row["by"],
        local_quality=row["local_quality"],
        cloud_quality=row["cloud_quality"],
        conversation=row["conversation"],
        propensity=row["propensity"],
        answered=row["answered"],
    )
    texts = None
    if row["prompt"] is not None:
        local, cloud = row["local_text"], row["cloud_text"]
        texts = PairTexts(prompt=row["prompt"], local=local, cloud=cloud, cut=row["cut"])
    return KeptPair(paired=paired, key=row["key_id"], texts=texts)
