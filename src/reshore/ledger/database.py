"""The ledger's database: opened, brought to its schema, written to. SQLite or PostgreSQL.

Imported by the writer's thread and by commands, see `schema.py`. SQLAlchemy's errors end here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from reshore.config import Config
from reshore.errors import LedgerError
from reshore.ledger import schema
from reshore.ledger.batch import Batch, Refused
from reshore.ledger.entry import Row
from reshore.ledger.location import file_of, name_of
from reshore.ledger.retention import Retention

# Another program may hold SQLite's lock for a moment; longer, and entries go to a file meanwhile.
_BUSY_MS = 500
_CONNECT_S = 10
# What hangs for longer is given up: a new schema and deletions, which may read much.
_STATEMENT_MS = 15_000
# A row of a batch is a statement. Entries wait in memory for it, so not for longer than for SQLite.
_ROW_MS = _BUSY_MS

# Gateways that start at once must not change one schema together (a number of our own).
_MIGRATION_LOCK = 0x7265_7368

_DAMAGED = ("SQLITE_NOTADB", "SQLITE_CORRUPT")

# Late attempts whose requests are not there yet, of the longest streams, say.
_MOST_ORPHANS = 10_000


class Database:
    """Implements `Store`. One connection, owned by the writer's thread.

    Raises:
        LedgerError: it cannot be opened, or its schema is newer than this program.
    """

    def __init__(self, config: Config) -> None:
        self._where = name_of(config)
        self._retention = Retention(config.ledger)
        with self._border():
            self._engine = _engine(config)
            self._connection = self._engine.connect()
        try:
            with self._border(), self._connection.begin():
                _migrate(self._connection, self._where)
            self._inserts = {table.name: _insert(table, self._engine) for table in _WRITTEN}
        except BaseException:
            self.close()
            raise
        self._sums = _sums()
        self._orphans: dict[str, None] = {}

    def write(self, batch: Batch, position: tuple[str, int] | None = None) -> None:
        """Store rows, all or none. See `Store.write`."""
        with self._border(), self._connection.begin():
            self._insert(schema.requests, batch.requests)
            self._insert(schema.attempts, batch.attempts)
            self._insert(schema.attempts, batch.late)
            self._insert(schema.texts, batch.texts)
            self._insert(schema.pairs, batch.pairs)
            self._sum(batch)
            if position is not None:
                self._remember(*position)

    def position(self, file: str) -> int:
        """How far a file has been read back."""
        query = sa.select(schema.spills.c.position).where(schema.spills.c.file == file)
        with self._border(), self._connection.begin():
            return self._connection.execute(query).scalar() or 0

    def forget(self, file: str) -> None:
        """The file is no more."""
        with self._border(), self._connection.begin():
            self._connection.execute(sa.delete(schema.spills).where(schema.spills.c.file == file))

    def sweep(self, now_s: float) -> bool:
        """Delete some of what is too old; whether there may be more."""
        with self._border(), self._connection.begin():
            _prolong(self._connection, "statement_timeout")
            return self._retention.sweep(self._connection, now_s)

    def close(self) -> None:
        """Let go of the database; of an SQLite file, its write-ahead log is folded in."""
        with contextlib.suppress(SQLAlchemyError):
            self._connection.close()
        self._engine.dispose()

    def _insert(self, table: Table, rows: Sequence[Row]) -> None:
        if rows:
            self._connection.exec_driver_sql(self._inserts[table.name], list(rows))

    def _sum(self, batch: Batch) -> None:
        """Bring the sums of requests up to date whose attempts came one by one."""
        late = [row[0] for row in batch.late]
        written = [row[0] for row in batch.requests]
        found = written if batch.again else [each for each in written if each in self._orphans]
        for request_id in dict.fromkeys((*late, *found)):
            done = self._connection.execute(self._sums, {"id": request_id})
            if done.rowcount:
                self._orphans.pop(request_id, None)
            elif len(self._orphans) < _MOST_ORPHANS:
                self._orphans[request_id] = None

    def _remember(self, file: str, position: int) -> None:
        spills = schema.spills
        self._connection.execute(sa.delete(spills).where(spills.c.file == file))
        self._connection.execute(sa.insert(spills).values(file=file, position=position))

    @contextlib.contextmanager
    def _border(self) -> Iterator[None]:
        """Errors of SQLAlchemy, and of values that no driver takes, become ours."""
        try:
            yield
        except (DataError, IntegrityError, OverflowError, UnicodeError) as error:
            raise Refused(f"{self._where} refuses a row: {_said(error)}") from error
        except SQLAlchemyError as error:
            raise LedgerError(f"{self._where}: {_said(error)}") from error


_WRITTEN = (schema.requests, schema.attempts, schema.texts, schema.pairs)


@contextlib.contextmanager
def reading(config: Config) -> Iterator[Connection]:
    """A connection that cannot change anything.

    Raises:
        LedgerError: there is no ledger, or it cannot be read.
    """
    where, file = name_of(config), file_of(config)
    if file is not None and not file.exists():
        raise LedgerError(
            f"there is no ledger at {where} yet: `reshore serve` writes one as it answers, unless "
            "`ledger.enabled` is false"
        )
    try:
        engine = _engine(config, read_only=True)
        with contextlib.closing(engine.connect()) as connection, connection.begin():
            _check(_version(connection), where)
            yield connection
        engine.dispose()
    except SQLAlchemyError as error:
        raise LedgerError(f"{where}: {_said(error)}") from error


def _engine(config: Config, *, read_only: bool = False) -> Engine:
    file = file_of(config)
    if file is not None:
        return _sqlite(file, read_only)
    try:
        return _postgresql(make_url(config.ledger.url), read_only)
    except ImportError as error:
        raise LedgerError(
            f"{name_of(config)} needs PostgreSQL's driver: `pip install 'reshore[postgres]'`"
        ) from error


def _sqlite(file: Path, read_only: bool) -> Engine:
    # By URI: `?` and `#` are parts of a path, and read-only is a word of the driver's.
    uri = f"{file.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    engine = sa.create_engine(
        URL.create("sqlite", database=uri, query={"uri": "true", "timeout": str(_BUSY_MS / 1000)}),
        poolclass=NullPool,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions begin where we say, schema changes too
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            # Each commit is on the disk when it is done: four a second at most.
            connection.execute("PRAGMA synchronous = FULL")
            file.chmod(0o600)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


# Of the writer's connection, in libpq's words. A server of which nothing is heard, behind a cut
# cable say, is given up after two seconds, and entries go to a file.
_IMPATIENT = {
    "options": f"-c statement_timeout={_ROW_MS} -c lock_timeout={_ROW_MS}",
    "tcp_user_timeout": "2000",
    "keepalives_idle": "2",
    "keepalives_interval": "1",
    "keepalives_count": "2",
}


def _postgresql(url: URL, read_only: bool) -> Engine:
    usual = {"connect_timeout": str(_CONNECT_S), "application_name": "reshore"}
    usual |= {"options": "-c default_transaction_read_only=on"} if read_only else _IMPATIENT
    url = url.set(drivername="postgresql+psycopg", query={**usual, **url.query})
    return sa.create_engine(url, poolclass=NullPool, paramstyle="format")


def _prolong(connection: Connection, *timeouts: str) -> None:
    """For one transaction, whose statements may take their time."""
    if connection.dialect.name == "postgresql":
        for name in timeouts:
            connection.execute(sa.select(sa.func.set_config(name, str(_STATEMENT_MS), True)))


def _migrate(connection: Connection, where: str) -> None:
    _prolong(connection, "statement_timeout", "lock_timeout")
    if connection.dialect.name == "postgresql":
        lock = sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK))
        connection.execute(lock)
    if _version(connection) == schema.HEAD:
        return
    # Only here, at a first start and after an upgrade: 80 ms of CPU and 11 MB.
    from alembic import command
    from alembic.config import Config as Migrations
    from alembic.script import ScriptDirectory

    migrations = Migrations()
    migrations.set_main_option("script_location", "reshore.ledger:migrations")
    migrations.attributes["connection"] = connection
    known = {each.revision for each in ScriptDirectory.from_config(migrations).walk_revisions()}
    _check(_version(connection), where, known=known)
    command.upgrade(migrations, "head")


def _version(connection: Connection) -> str | None:
    """The revision of the schema; None for an empty database."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _check(version: str | None, where: str, known: Container[str] = (schema.HEAD,)) -> None:
    if version is None or version in known:
        return
    raise LedgerError(
        f"{where} has schema {version}, this reshore has {schema.HEAD}: use the newer one of the "
        "two (it brings an older ledger up to date as it starts), or another `ledger.url`"
    )


def _insert(table: Table, engine: Engine) -> str:
    """The text of an insertion that leaves what is there, for rows in the order of the columns."""
    insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    columns = [name for name in table.c.keys() if name != "seq"]  # noqa: SIM118
    return str(
        insert(table).on_conflict_do_nothing().compile(dialect=engine.dialect, column_keys=columns)
    )


def _sums() -> sa.Update:
    """The sums of one request over its attempts, as they stand now."""
    requests, attempts = schema.requests, schema.attempts
    own = attempts.c.request_id == requests.c.request_id
    cost = attempts.c.cost_nano_usd

    def over(value: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
        return sa.select(value).where(own).scalar_subquery()

    return (
        sa.update(requests)
        .where(requests.c.request_id == sa.bindparam("id"))
        .values(
            attempts=over(sa.func.count()),
            cost_nano_usd=over(sa.func.coalesce(sa.func.sum(cost), 0)),
            unpriced=over(sa.func.count() - sa.func.count(cost)),
        )
    )


def _said(error: BaseException) -> str:
    """The driver's words, without the statement and its values; of a file that is none any more,
    what to do about it."""
    cause = getattr(error, "orig", None) or error
    said = " ".join(str(cause).split())
    if getattr(cause, "sqlite_errorname", "") in _DAMAGED:
        return f"{said}; move the file elsewhere, and a server begins a new one"
    return said
