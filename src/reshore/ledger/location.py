"""Where the ledger is, without opening it."""

from __future__ import annotations

from pathlib import Path

from reshore.config import Config, without_password


def file_of(config: Config) -> Path | None:
    """The SQLite file; None: it is a PostgreSQL database."""
    return None if config.ledger.url else config.home / "ledger.db"


def folder_of(config: Config) -> Path:
    """Where entries wait that the database was not there for."""
    return config.home / "ledger"


def name_of(config: Config) -> str:
    """The ledger as messages call it, without a password."""
    return without_password(config.ledger.url) if config.ledger.url else str(file_of(config))
