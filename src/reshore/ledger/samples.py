"""What was asked, as far as it is stored: the requests of which `[ledger] texts` kept the texts."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy import Connection

from reshore.ledger.queries import Filter
from reshore.ledger.schema import requests, texts

# A text may have hundreds of kilobytes.
_PAGE = 200


class Sample(Struct, frozen=True, kw_only=True):
    """A request of a client.

    Attributes:
        asked: the name that the client sent.
        route: the pattern that it fell under, None for none.
        key: id of the API key, as in `Outcome.key`.
        private: a privacy rule kept it on this machine; one that no rule was asked about is not.
        prompt: the body of the request; blacked out where `[ledger] redact` says so.
        answer: what the client got.
        cut: one of both is not whole.
    """

    request_id: str
    path: str
    asked: str | None
    route: str | None
    key: str | None
    private: bool
    prompt: str
    answer: str
    cut: bool


def samples(connection: Connection, which: Filter) -> Iterator[Sample]:
    """All stored texts of these requests in the order in which they were stored, a few at a time.

    Of answered requests alone: what was refused may be no request at all.
    """
    column, after = requests.c, 0
    joined = requests.join(texts, texts.c.request_id == column.request_id)
    wanted = sa.select(
        column.seq,
        column.request_id,
        column.path,
        column.asked_model,
        column.route,
        column.key_id,
        column.private,
        texts.c.prompt,
        texts.c.answer,
        texts.c.cut,
    ).select_from(joined)
    while True:
        query = wanted.where(column.seq > after, column.status == 200, *which.clauses())
        rows = connection.execute(query.order_by(column.seq).limit(_PAGE)).all()
        for seq, *fields in rows:
            after = seq
            yield Sample(**dict(zip(Sample.__struct_fields__, fields, strict=True)))
        if len(rows) < _PAGE:
            return
