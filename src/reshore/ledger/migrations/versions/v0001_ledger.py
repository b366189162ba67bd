"""Requests, attempts, texts, spills: the first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "requests",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("arrived_ms", sa.BigInteger, nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("path", sa.String(256), nullable=False),
        sa.Column("key_id", sa.String(64)),
        sa.Column("asked_model", sa.String(256)),
        sa.Column("model", sa.String(256)),
        sa.Column("side", sa.String(8)),
        sa.Column("backend", sa.String(64)),
        sa.Column("route", sa.String(256)),
        sa.Column("policy", sa.Text),
        sa.Column("why", sa.Text),
        sa.Column("version", sa.Integer),
        sa.Column("score", sa.Double),
        sa.Column("private", sa.Boolean, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("error", sa.String(64)),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("ttft_ms", sa.Double),
        sa.Column("tpot_ms", sa.Double),
        sa.Column("total_ms", sa.Double, nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger),
        sa.Column("completion_tokens", sa.BigInteger),
        sa.Column("cached_tokens", sa.BigInteger),
        sa.Column("reasoning_tokens", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("retries", sa.Integer, nullable=False),
        sa.Column("cost_nano_usd", sa.BigInteger, nullable=False),
        sa.Column("unpriced", sa.Integer, nullable=False),
        sa.Column("list_nano_usd", sa.BigInteger),
        sa.Column("list_source", sa.String(128)),
    )
    op.create_index("requests_id", "requests", ["request_id"], unique=True)
    op.create_index("requests_arrived", "requests", ["arrived_ms"])
    op.create_table(
        "attempts",
        sa.Column("request_id", sa.String(64), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("side", sa.String(8), nullable=False),
        sa.Column("backend", sa.String(64), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("answered", sa.Boolean, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.String(64)),
        sa.Column("finish_reason", sa.String(32)),
        sa.Column("started_ms", sa.Double, nullable=False),
        sa.Column("ttft_ms", sa.Double),
        sa.Column("total_ms", sa.Double, nullable=False),
        sa.Column("load_ms", sa.Double),
        sa.Column("prompt_tokens", sa.BigInteger),
        sa.Column("completion_tokens", sa.BigInteger),
        sa.Column("cached_tokens", sa.BigInteger),
        sa.Column("reasoning_tokens", sa.BigInteger),
        sa.Column("cost_nano_usd", sa.BigInteger),
        sa.Column("price_source", sa.String(128)),
    )
    op.create_index("attempts_at", "attempts", ["at_ms"])
    op.create_table(
        "texts",
        sa.Column("request_id", sa.String(64), primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("cut", sa.Boolean, nullable=False),
    )
    op.create_index("texts_at", "texts", ["at_ms"])
    op.create_table(
        "spills",
        sa.Column("file", sa.String(64), primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
