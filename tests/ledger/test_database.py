"""The real databases: schema, writing, sums, what is deleted."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config as Migrations
from alembic.migration import MigrationContext

from reshore.config import Config, UpstreamConfig
from reshore.errors import LedgerError
from reshore.ledger import schema
from reshore.ledger.batch import Batch, Refused
from reshore.ledger.database import Database, _engine, reading
from reshore.ledger.entry import Ended, Late, Pairing, Texts
from reshore.ledger.prices import Prices
from tests.ledger.samples import AT_S, LOCAL, PRICE, attempt, outcome, paired, settings

DAY_S = 86_400


def write(
    database: Database, *entries: Ended | Late | Texts | Pairing, again: bool = False
) -> None:
    batch = Batch(again=again)
    for entry in entries:
        batch.add(entry, Prices({}, {"openai": UpstreamConfig()}))
    database.write(batch)


def late(request_id: str, number: int = 70_000, **changes: object) -> Late:
    return Late(request_id, number, attempt(role="shadow", **changes), AT_S, "gpt-4o-mini")


def rows(config: Config, table: sa.Table) -> list[dict[str, object]]:
    with reading(config) as connection:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


@pytest.fixture
def database(config: Config):
    database = Database(config)
    yield database
    database.close()


def test_the_migrations_make_the_tables_of_the_schema(config: Config, database: Database) -> None:
    with reading(config) as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, schema.metadata) == []
        assert context.get_current_revision() == schema.HEAD


def test_an_older_ledger_is_brought_up_to_date_and_keeps_its_entries(config: Config) -> None:
    migrations = Migrations()
    migrations.set_main_option("script_location", "reshore.ledger:migrations")
    engine = _engine(config)
    with engine.connect() as connection, connection.begin():
        migrations.attributes["connection"] = connection
        command.upgrade(migrations, "0001")
    with engine.connect() as connection, connection.begin():
        connection.execute(
            sa.insert(schema.texts).values(
                request_id="old", at_ms=1, prompt="a", answer="b", cut=False
            )
        )
    engine.dispose()
    with pytest.raises(LedgerError, match=r"schema 0001.*brings an older ledger up to date"):
        rows(config, schema.texts)
    database = Database(config)
    write(database, Pairing(paired()))
    database.close()
    assert [row["request_id"] for row in rows(config, schema.texts)] == ["old"]
    assert [row["request_id"] for row in rows(config, schema.pairs)] == ["req_1"]


def test_an_entry_comes_back_as_it_was(config: Config, database: Database) -> None:
    write(database, Ended(outcome(attempts=(attempt(target=LOCAL, error="Overloaded"), attempt()))))
    (row,) = rows(config, schema.requests)
    assert row["request_id"] == "req_1"
    assert row["arrived_ms"] == AT_S * 1000
    assert (row["side"], row["backend"], row["model"]) == ("local", "local", "gpt-4o-mini")
    assert (row["prompt_tokens"], row["cached_tokens"], row["reasoning_tokens"]) == (
        1000,
        200,
        None,
    )
    assert row["stream"] is True
    assert row["tpot_ms"] == 10.0
    first, second = sorted(rows(config, schema.attempts), key=lambda each: each["number"])
    assert (first["number"], first["error"]) == (0, "Overloaded")
    assert (second["number"], second["cost_nano_usd"]) == (1, PRICE)


def test_what_is_there_already_stays_as_it_is(config: Config, database: Database) -> None:
    write(database, Ended(outcome()))
    write(database, Ended(outcome(status=500)), Ended(outcome("req_2")), again=True)
    assert {row["request_id"]: row["status"] for row in rows(config, schema.requests)} == {
        "req_1": 200,
        "req_2": 200,
    }
    assert len(rows(config, schema.attempts)) == 2


@pytest.mark.parametrize("order", ["request first", "shadow first", "both at once"])
def test_a_late_attempt_is_added_to_its_request(
    config: Config, database: Database, order: str
) -> None:
    request, shadow = Ended(outcome()), late("req_1")
    if order == "both at once":
        write(database, shadow, request)
    else:
        for entry in (request, shadow) if order == "request first" else (shadow, request):
            write(database, entry)
    (row,) = rows(config, schema.requests)
    assert (row["attempts"], row["cost_nano_usd"], row["unpriced"]) == (2, 2 * PRICE, 0)


def test_a_late_attempt_counts_once_however_often_it_is_written(
    config: Config, database: Database
) -> None:
    for _ in range(2):
        write(database, Ended(outcome()), late("req_1"), late("req_1", 70_001, usage=None))
    (row,) = rows(config, schema.requests)
    assert (row["attempts"], row["cost_nano_usd"], row["unpriced"]) == (3, 2 * PRICE, 1)


def test_a_late_attempt_of_an_earlier_process_is_found_when_its_request_is_read_back(
    config: Config, database: Database
) -> None:
    write(database, late("req_1"))
    database.close()
    again = Database(config)
    write(again, Ended(outcome()), again=True)
    again.close()
    (row,) = rows(config, schema.requests)
    assert row["cost_nano_usd"] == 2 * PRICE


def test_a_batch_is_stored_whole_or_not_at_all(config: Config, database: Database) -> None:
    # One number is beyond what either database holds.
    with pytest.raises(Refused):
        write(database, Ended(outcome("req_1")), Ended(outcome("req_2", status=2**70)))
    assert rows(config, schema.requests) == []
    write(database, Ended(outcome("req_1")))
    assert len(rows(config, schema.requests)) == 1


def test_texts_that_no_database_takes_are_made_fit(config: Config, database: Database) -> None:
    write(
        database,
        Ended(outcome(asked_model="gpt\0" + "é" * 3000, path="/v1/" + "\ud800" * 500)),
        Texts("req_1", "a\0b", "\udfff", AT_S),
    )
    (row,) = rows(config, schema.requests)
    assert str(row["asked_model"]).startswith("gpt�é")
    assert len(str(row["asked_model"])) == 256
    assert rows(config, schema.texts)[0]["prompt"] == "a�b"


def test_positions_of_files_are_kept_with_their_rows(config: Config, database: Database) -> None:
    assert database.position("f") == 0
    database.write(Batch(), ("f", 10))
    database.write(Batch(), ("f", 25))
    assert database.position("f") == 25
    database.forget("f")
    assert database.position("f") == 0


def test_a_newer_schema_is_left_alone(config: Config, database: Database) -> None:
    with database._connection.begin():
        database._connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    with pytest.raises(LedgerError, match=r"schema 9999.*newer"):
        Database(config)
    with pytest.raises(LedgerError, match="schema 9999"), reading(config):
        pass


def test_servers_that_start_at_once_share_one_schema(tmp_path: Path, postgres_url: str) -> None:
    config = settings(tmp_path / "home", RESHORE_LEDGER_URL=postgres_url)
    failures: list[BaseException] = []

    def start() -> None:
        try:
            Database(config).close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_reading_changes_nothing(config: Config, database: Database) -> None:
    with pytest.raises(LedgerError), reading(config) as connection:
        connection.execute(sa.delete(schema.requests))


def test_without_a_ledger_the_message_says_how_to_get_one(tmp_path: Path) -> None:
    with (
        pytest.raises(LedgerError, match=r"no ledger at .*ledger\.db yet"),
        reading(settings(tmp_path / "home")),
    ):
        pass


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    config = settings(tmp_path / "home")
    (config.home / "ledger.db").write_bytes(b"this is no database, whatever its name says" * 50)
    with pytest.raises(LedgerError, match=r"not a database; move the file elsewhere"):
        Database(config)


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://ada:secret@/db?host={tmp_path}"
    config = settings(tmp_path / "home", RESHORE_LEDGER_URL=url)
    with pytest.raises(LedgerError) as raised:
        Database(config)
    assert "postgresql://ada:***@/db" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_postgresql_without_its_driver_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    config = settings(tmp_path / "home", RESHORE_LEDGER_URL="postgresql://ada@/db")
    with pytest.raises(LedgerError, match=r"pip install 'reshore\[postgres\]'"):
        Database(config)


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    config = settings(tmp_path / "home")
    Database(config).close()
    assert (config.home / "ledger.db").stat().st_mode & 0o077 == 0


def sweep(database: Database, now_s: float) -> int:
    """Sweep until nothing is left to do; how often that took."""
    times = 1
    while database.sweep(now_s):
        times += 1
    return times


def test_what_is_older_than_it_may_be_is_deleted_a_little_at_a_time(config: Config) -> None:
    database = Database(config)
    old = [Ended(outcome(f"old_{n}", wall_s=AT_S + n)) for n in range(1300)]
    write(database, *old, Ended(outcome("new", wall_s=AT_S + 10 * DAY_S)))
    assert sweep(database, AT_S + 405 * DAY_S) > 2
    database.close()
    assert [row["request_id"] for row in rows(config, schema.requests)] == ["new"]
    assert [row["request_id"] for row in rows(config, schema.attempts)] == ["new"]


def test_texts_go_before_their_requests(config: Config) -> None:
    database = Database(config)
    write(database, Ended(outcome()), Texts("req_1", "hello", "hi", AT_S))
    sweep(database, AT_S + 31 * DAY_S)
    database.close()
    assert rows(config, schema.texts) == []
    assert len(rows(config, schema.requests)) == 1


def test_nothing_is_deleted_that_is_kept_for_ever(tmp_path: Path) -> None:
    config = settings(tmp_path / "home", RESHORE_LEDGER_RETAIN_DAYS="0")
    database = Database(config)
    write(database, Ended(outcome()))
    sweep(database, AT_S + 9000 * DAY_S)
    database.close()
    assert len(rows(config, schema.requests)) == 1


def test_a_file_that_is_too_large_loses_its_oldest_entries(tmp_path: Path) -> None:
    config = settings(tmp_path / "home", RESHORE_LEDGER_MAX_BYTES="600000")
    database = Database(config)
    write(database, *(Ended(outcome(f"req_{n:04}", wall_s=AT_S + n)) for n in range(2000)))
    sweep(database, AT_S)
    write(database, Ended(outcome("newest", wall_s=AT_S + 9999)))
    database.close()
    left = sorted(str(row["request_id"]) for row in rows(config, schema.requests))
    assert 200 < len(left) < 1600
    assert left[:2] == ["newest", f"req_{2001 - len(left):04}"]
