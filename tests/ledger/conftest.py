"""Both databases: each test that asks for `config` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

from reshore.config import Config
from tests.ledger.postgres import running
from tests.ledger.samples import settings

_numbers = count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a real PostgreSQL server."""
    with running() as url:
        yield url


@pytest.fixture
def postgres_url(postgres: str) -> str:
    """The URL of an empty database."""
    name = f"ledger{next(_numbers)}"
    engine = sa.create_engine(
        postgres.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return postgres.replace("/postgres?", f"/{name}?")


@pytest.fixture(params=["sqlite", "postgresql"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    """The settings of a home whose ledger is empty."""
    if request.param == "sqlite":
        return settings(tmp_path / "home")
    url = request.getfixturevalue("postgres_url")
    return settings(tmp_path / "home", RESHORE_LEDGER_URL=url)
