"""Pairs: requests that both sides answered, compared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "pairs",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("route", sa.String(256), nullable=False),
        sa.Column("key_id", sa.String(64)),
        sa.Column("conversation", sa.String(64), nullable=False),
        sa.Column("answered", sa.String(8)),
        sa.Column("local_model", sa.String(256), nullable=False),
        sa.Column("cloud_backend", sa.String(64), nullable=False),
        sa.Column("cloud_model", sa.String(256), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("local_quality", sa.Double),
        sa.Column("cloud_quality", sa.Double),
        sa.Column("propensity", sa.Double, nullable=False),
        sa.Column("prompt", sa.Text),
        sa.Column("local_text", sa.Text),
        sa.Column("cloud_text", sa.Text),
        sa.Column("cut", sa.Boolean, nullable=False),
    )
    op.create_index(
        "pairs_id",
        "pairs",
        ["request_id", "local_model", "cloud_backend", "cloud_model"],
        unique=True,
    )
    op.create_index("pairs_at", "pairs", ["at_ms"])
    has_text = sa.text("prompt IS NOT NULL")
    op.create_index(
        "pairs_texts", "pairs", ["at_ms"], sqlite_where=has_text, postgresql_where=has_text
    )
