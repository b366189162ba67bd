"""The ledger in whole: threads, real databases, real processes that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from reshore.clock import SystemClock
from reshore.config import Config
from reshore.ledger.database import reading
from reshore.ledger.entry import PairTexts, Texts
from reshore.ledger.ledger import open_ledger
from reshore.ledger.schema import attempts, pairs, requests, texts
from tests.ledger.samples import AT_S, LOCAL, PRICE, attempt, outcome, paired, settings

SRC = Path(__file__).parents[2] / "src"


def count(config: Config, table: sa.Table = requests) -> int:
    with reading(config) as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def test_what_was_recorded_is_there_when_the_block_has_ended(config: Config) -> None:
    with open_ledger(config, SystemClock()) as ledger:
        for number in range(50):
            ledger.record(outcome(f"req_{number}"))
        ledger.record_late("req_7", attempt(role="shadow", target=LOCAL), asked="gpt-4o-mini")
        ledger.record_late("req_7", attempt(role="judge"))
    assert count(config) == 50
    assert count(config, attempts) == 52
    with reading(config) as connection:
        seven = connection.execute(sa.select(requests).where(requests.c.request_id == "req_7"))
        row = seven.mappings().one()
    assert (row["attempts"], row["cost_nano_usd"]) == (3, 2 * PRICE)
    assert list((config.home / "ledger").iterdir()) == []
    assert ledger.counts.written == 52
    assert ledger.counts.lost == 0


def test_texts_are_kept_where_they_are_wanted(config: Config) -> None:
    config = settings(
        config.home,
        "[ledger]\ntexts = 1\nredact = ['[0-9]{4}']\n",
        RESHORE_LEDGER_URL=config.ledger.url,
    )
    with open_ledger(config, SystemClock()) as ledger:
        assert ledger.wants_texts("req_1")
        ledger.record(outcome())
        ledger.record_texts(Texts("req_1", "pin 1234", "ok", AT_S))
    with reading(config) as connection:
        assert connection.execute(sa.select(texts.c.prompt)).scalar_one() == "pin █████"


def test_texts_are_not_kept_unless_told(config: Config) -> None:
    with open_ledger(config, SystemClock()) as ledger:
        assert not ledger.wants_texts("req_1")
        ledger.record(outcome())
        ledger.record_texts(Texts("req_1", "pin 1234", "ok", AT_S))
    assert count(config, texts) == 0


SAID = PairTexts(prompt="pin 1234", local="it is 1234", cloud="it is 4321")


def test_the_texts_of_pairs_are_kept_black_where_they_are_wanted(config: Config) -> None:
    config = settings(
        config.home,
        "[ledger]\ntexts = 1\nredact = ['[0-9]{4}']\n",
        RESHORE_LEDGER_URL=config.ledger.url,
    )
    with open_ledger(config, SystemClock()) as ledger:
        ledger.record_pair(paired(), texts=SAID)
    with reading(config) as connection:
        row = connection.execute(sa.select(pairs)).mappings().one()
    said = (row["prompt"], row["local_text"], row["cloud_text"])
    assert said == ("pin █████", "it is █████", "it is █████")


def test_pairs_are_kept_without_what_was_said_unless_told(config: Config) -> None:
    with open_ledger(config, SystemClock()) as ledger:
        ledger.record_pair(paired(), key="0a1b2c3d", texts=SAID)
    with reading(config) as connection:
        row = connection.execute(sa.select(pairs)).mappings().one()
    assert (row["request_id"], row["key_id"], row["prompt"]) == ("req_1", "0a1b2c3d", None)


def test_what_was_said_in_a_pair_is_in_no_file_that_stands_in_for_a_queue(tmp_path: Path) -> None:
    config = settings(
        tmp_path / "home", "[ledger]\ntexts = 1\nqueue = 1\n", RESHORE_LEDGER_FLUSH_MS="750"
    )
    with open_ledger(config, SystemClock()) as ledger:
        for number in range(20):
            ledger.record_pair(paired(f"req_{number}"), texts=SAID)
        waiting = b"".join(path.read_bytes() for path in (config.home / "ledger").iterdir())
        assert b"req_19" in waiting
        assert b"1234" not in waiting
    assert count(config, pairs) == 20


def test_nothing_is_kept_where_the_ledger_is_off(tmp_path: Path) -> None:
    config = settings(tmp_path / "home", RESHORE_LEDGER_ENABLED="false")
    with open_ledger(config, SystemClock()) as ledger:
        ledger.record(outcome())
        ledger.record_late("req_1", attempt())
        ledger.record_pair(paired())
        assert ledger.queued == 0
    assert [path.name for path in config.home.iterdir()] == ["reshore.toml"]


def test_what_finds_no_room_in_the_queue_is_not_lost(config: Config) -> None:
    config = settings(config.home, RESHORE_LEDGER_QUEUE="5", RESHORE_LEDGER_URL=config.ledger.url)
    with open_ledger(config, SystemClock()) as ledger:
        for number in range(300):
            ledger.record(outcome(f"req_{number}"))
        assert ledger.queued <= 5
    assert count(config) == 300
    assert ledger.counts.lost == 0


def test_a_server_starts_beside_a_database_that_cannot_be_opened(tmp_path: Path) -> None:
    config = settings(tmp_path / "home")
    (config.home / "ledger.db").write_bytes(b"no database at all" * 100)
    with open_ledger(config, SystemClock()) as ledger:
        ledger.record(outcome("a"))
    (config.home / "ledger.db").unlink()
    with open_ledger(config, SystemClock()) as ledger:
        ledger.record(outcome("b"))
    assert count(config) == 2


def wait_until(holds: Callable[[], bool], within_s: float = 20.0) -> None:
    latest = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < latest
        threading.Event().wait(0.01)


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Somebody else works on the table of requests, and nobody else can."""
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE requests IN ACCESS EXCLUSIVE MODE")
        yield
    engine.dispose()


def test_while_postgresql_hangs_entries_are_in_a_file_within_a_second(
    tmp_path: Path, postgres_url: str
) -> None:
    config = settings(tmp_path / "home", RESHORE_LEDGER_URL=postgres_url)
    with open_ledger(config, SystemClock()) as ledger:
        ledger.record(outcome("req_a"))
        wait_until(lambda: ledger.counts.written == 1)
        with locked(postgres_url):
            for request_id in ("req_b", "req_c"):
                before = ledger.counts.spilled
                ledger.record(outcome(request_id))
                # What is promised is a second; a busy machine gets some more.
                wait_until(lambda before=before: ledger.counts.spilled > before, within_s=5.0)
        wait_until(lambda: ledger.counts.written == 3)
    assert count(config) == count(config, attempts) == 3
    assert ledger.counts.lost == 0
    assert list((config.home / "ledger").iterdir()) == []


# Records requests at a steady rate and says of each when it did, as a server acknowledges them.
_SERVER = """
import sys, time
from pathlib import Path
from reshore.clock import SystemClock
from reshore.config import load
from reshore.ledger.ledger import open_ledger
from tests.ledger.samples import outcome

with open_ledger(load(), SystemClock()) as ledger:
    for number in range(100_000):
        ledger.record(outcome(f"req_{number}"))
        print(number, time.monotonic(), flush=True)
        time.sleep(0.002)
"""


@pytest.mark.parametrize("after_s", [1.2, 2.5])
def test_kill_9_loses_nothing_that_is_older_than_a_second(config: Config, after_s: float) -> None:
    root = SRC.parent
    env = {name: value for name, value in os.environ.items() if not name.startswith("RESHORE_")}
    env |= {"RESHORE_HOME": str(config.home), "PYTHONPATH": f"{SRC}{os.pathsep}{root}"}
    if config.ledger.url:
        env["RESHORE_LEDGER_URL"] = config.ledger.url
    acknowledged: dict[str, float] = {}
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER], env=env, cwd=root, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        began = None
        for line in server.stdout:
            number, at = line.split()
            began = began or float(at)
            acknowledged[f"req_{number}"] = float(at)
            if float(at) > began + after_s:
                break
        killed = time.monotonic()
        server.send_signal(signal.SIGKILL)
    due = {request_id for request_id, at in acknowledged.items() if at < killed - 1.0}
    assert len(due) > 20
    file = config.home / "ledger.db"
    if not config.ledger.url and file.exists():
        engine = sa.create_engine(f"sqlite:///{file}")
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        engine.dispose()
    # The next server reads back what waited in a file.
    with open_ledger(config, SystemClock()) as ledger:
        ledger.record(outcome("the next"))
    with reading(config) as connection:
        found = set(connection.execute(sa.select(requests.c.request_id)).scalars())
        tries = connection.execute(sa.select(sa.func.count()).select_from(attempts)).scalar_one()
    assert due - found == set()
    assert tries == len(found)
