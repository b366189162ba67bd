"""`[ledger]`: what is remembered of requests, and `[prices]`: what tokens cost."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

from reshore.config.numbers import Count, Positive

# Postponed writes are in the file within a second at most, whatever is set.
FlushMs = Annotated[int, Meta(ge=10, le=750)]
Share = Annotated[float, Meta(ge=0, le=1)]
Dollars = Annotated[float, Meta(ge=0)]

_PASSWORD = re.compile(r"(?<=:)[^:@/]*(?=@)")


def without_password(url: str) -> str:
    """An address as it may be shown."""
    return _PASSWORD.sub("***", url)


class LedgerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is remembered of each request, where, and for how long."""

    enabled: Annotated[bool, Meta(description="keep one entry per request")] = True
    url: Annotated[
        str,
        Meta(
            description="the database; empty: `ledger.db` in RESHORE_HOME. "
            "`postgresql://user@host/name` needs `pip install 'reshore[postgres]'`"
        ),
    ] = ""
    flush_ms: Annotated[
        FlushMs, Meta(description="milliseconds between two writes to the database")
    ] = 250
    queue: Annotated[
        Positive, Meta(description="entries in memory before further ones are put into a file")
    ] = 10_000
    spill_bytes: Annotated[
        Count,
        Meta(description="size of the files that hold entries while the database is away"),
    ] = 256 * 1024 * 1024
    retain_days: Annotated[Count, Meta(description="age of entries to be deleted; 0: never")] = 400
    max_bytes: Annotated[
        Count,
        Meta(description="size of an SQLite ledger beyond which its oldest go; 0: no limit"),
    ] = 0
    texts: Annotated[
        Share, Meta(description="share of requests whose prompts and answers are kept; 0: none")
    ] = 0.0
    text_bytes: Annotated[
        Positive, Meta(description="bytes of one kept text; the rest is cut off")
    ] = 16 * 1024
    redact: Annotated[
        tuple[str, ...],
        Meta(
            description="regular expressions; what they match in kept texts is blacked out; "
            "the variable holds one"
        ),
    ] = ()
    retain_texts_days: Annotated[
        Count, Meta(description="age of kept texts to be deleted; 0: never")
    ] = 30

    def __post_init__(self) -> None:
        if self.url and urlsplit(self.url).scheme not in ("postgresql", "postgres"):
            raise ValueError(
                f"url: {without_password(self.url)!r} is no PostgreSQL database; write "
                "'postgresql://user@host:5432/name', or nothing for a file in RESHORE_HOME"
            )
        for pattern in self.redact:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"redact: {pattern!r} is no regular expression: {error}") from None


class PriceConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one model costs, `[prices."model"]`, in US dollars.

    Attributes:
        input: per million prompt tokens.
        cached: per million prompt tokens out of a cache; unset: as `input`.
        output: per million completion tokens.
        reasoning: per million completion tokens that were thought; unset: as `output`.
        request: per request.
        hour: per hour that the model works on a request.
        since: `from` in the file: the first day it is valid for (UTC); unset: always.
    """

    input: Dollars | None = None
    cached: Dollars | None = None
    output: Dollars | None = None
    reasoning: Dollars | None = None
    request: Dollars = 0.0
    hour: Dollars = 0.0
    since: date | None = field(name="from", default=None)
