"""The tables, once for SQLite and PostgreSQL.

Imported by the writer's thread and by commands, never while the server starts: SQLAlchemy takes
some 80 ms of CPU and 12 MB. A change of a table is a migration (`migrations/versions/`) and a new
`HEAD`; a test compares what the migrations make with what stands here.

Times are milliseconds since the epoch (UTC). Money is whole nano-dollars, see `prices.py`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

HEAD = "0002"

metadata = MetaData()

# One row per Outcome. The sums over its attempts are kept here, so that nothing has to be joined
# to add up a month: `cost_nano_usd` of those whose price is known, `unpriced` counts the others.
requests = Table(
    "requests",
    metadata,
    # The order in which they were stored: what came last is found by it, however long it ran.
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("request_id", String(64), nullable=False),
    Column("arrived_ms", BigInteger, nullable=False),
    Column("method", String(16), nullable=False),
    Column("path", String(256), nullable=False),
    Column("key_id", String(64)),
    Column("asked_model", String(256)),
    Column("model", String(256)),
    Column("side", String(8)),
    Column("backend", String(64)),
    Column("route", String(256)),
    Column("policy", Text),
    Column("why", Text),
    Column("version", Integer),
    Column("score", Double),
    Column("private", Boolean, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error", String(64)),
    Column("stream", Boolean, nullable=False),
    Column("ttft_ms", Double),
    Column("tpot_ms", Double),
    Column("total_ms", Double, nullable=False),
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("retries", Integer, nullable=False),
    Column("cost_nano_usd", BigInteger, nullable=False),
    Column("unpriced", Integer, nullable=False),
    Column("list_nano_usd", BigInteger),
    Column("list_source", String(128)),
    Index("requests_id", "request_id", unique=True),
    Index("requests_arrived", "arrived_ms"),
)

# One row per Attempt. `number` counts those that a request waited for; rows that come later
# (shadow, judge) have one at random, far above.
attempts = Table(
    "attempts",
    metadata,
    Column("request_id", String(64), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("role", String(16), nullable=False),
    Column("side", String(8), nullable=False),
    Column("backend", String(64), nullable=False),
    Column("model", String(256), nullable=False),
    Column("answered", Boolean, nullable=False),
    Column("status", Integer),
    Column("error", String(64)),
    Column("finish_reason", String(32)),
    Column("started_ms", Double, nullable=False),
    Column("ttft_ms", Double),
    Column("total_ms", Double, nullable=False),
    Column("load_ms", Double),
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("cost_nano_usd", BigInteger),
    Column("price_source", String(128)),
    Index("attempts_at", "at_ms"),
)

# What was said, only where it was switched on.
texts = Table(
    "texts",
    metadata,
    Column("request_id", String(64), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("cut", Boolean, nullable=False),
    Index("texts_at", "at_ms"),
)

# One row per pair: one request that both sides answered, see `routing/paired.py`. One request has
# one with each two models. The texts only where they were switched on, and not for as long as the
# rest: what has some is found by an index of its own.
pairs = Table(
    "pairs",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("request_id", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("source", String(16), nullable=False),
    Column("route", String(256), nullable=False),
    Column("key_id", String(64)),
    Column("conversation", String(64), nullable=False),
    Column("answered", String(8)),
    Column("local_model", String(256), nullable=False),
    Column("cloud_backend", String(64), nullable=False),
    Column("cloud_model", String(256), nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("by", String(64), nullable=False),
    Column("local_quality", Double),
    Column("cloud_quality", Double),
    Column("propensity", Double, nullable=False),
    Column("prompt", Text),
    Column("local_text", Text),
    Column("cloud_text", Text),
    Column("cut", Boolean, nullable=False),
    Index("pairs_id", "request_id", "local_model", "cloud_backend", "cloud_model", unique=True),
    Index("pairs_at", "at_ms"),
)
Index(
    "pairs_texts",
    pairs.c.at_ms,
    sqlite_where=pairs.c.prompt.is_not(None),
    postgresql_where=pairs.c.prompt.is_not(None),
)

# How far each file of entries that the database was not there for has been read back.
spills = Table(
    "spills",
    metadata,
    Column("file", String(64), primary_key=True),
    Column("position", BigInteger, nullable=False),
)
