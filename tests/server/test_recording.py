"""Everybody is told of a request that ended, whoever else fails."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from reshore.server.recording import Recorder
from reshore.types import Attempt, Outcome, Target
from tests.server.harness import chat_body, echo_config, running
from tests.server.test_metrics import page

OUTCOME = Outcome(request_id="req_1", method="GET", path="/", status=200, total_ms=1.0)
ATTEMPT = Attempt(role="shadow", target=Target(side="local", backend="local", model="m"))


class Kept:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.late: list[tuple[str, Attempt, str]] = []

    def record(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def record_late(self, request_id: str, attempt: Attempt, *, asked: str = "") -> None:
        self.late.append((request_id, attempt, asked))


class Broken:
    """Has a bug."""

    def record(self, outcome: Outcome) -> None:
        raise RuntimeError("a bug")

    def record_late(self, request_id: str, attempt: Attempt, *, asked: str = "") -> None:
        raise RuntimeError("a bug")


def test_everybody_is_told_of_an_outcome() -> None:
    logged: list[Outcome] = []
    ledger, meter = Kept(), Kept()
    Recorder(logged.append, ledger, meter)(OUTCOME)
    assert logged == ledger.outcomes == meter.outcomes == [OUTCOME]


def test_late_attempts_are_for_those_who_keep_them() -> None:
    logged: list[Outcome] = []
    ledger = Kept()
    Recorder(logged.append, ledger, None).late("req_1", ATTEMPT, asked="gpt-4o")
    assert ledger.late == [("req_1", ATTEMPT, "gpt-4o")]
    assert logged == []


def test_a_bug_of_one_is_logged_and_keeps_nobody_else_from_being_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    meter = Kept()
    recorder = Recorder(Broken().record, Broken(), meter)
    with caplog.at_level(logging.ERROR, logger="reshore.server"):
        recorder(OUTCOME)
        recorder.late("req_1", ATTEMPT)
    assert meter.outcomes == [OUTCOME]
    assert meter.late == [("req_1", ATTEMPT, "")]
    assert [record.__dict__["request_id"] for record in caplog.records] == ["req_1"] * 3


async def test_a_server_that_has_ended_has_kept_every_request(home: Path) -> None:
    async with running(echo_config(home, **{"ledger.enabled": True})) as server:
        await server.chat("Hi")
        await server.refusal("/v1/chat/completions", chat_body("Hi", model="nobody"), status=404)
        numbers = await page(server)
        assert 'reshore_ledger_entries_total{fate="lost"} 0.0' in numbers
    with closing(sqlite3.connect(home / "ledger.db")) as database:
        rows = database.execute("select request_id, status from requests order by arrived_ms")
        kept = dict(rows.fetchall())
        attempts = database.execute("select role, backend from attempts").fetchall()
    ours = {one.request_id: one.status for one in server.outcomes if one.path.startswith("/v1/")}
    assert kept == ours
    assert attempts == [("primary", "local")]


async def test_without_a_ledger_there_is_no_file(home: Path) -> None:
    async with running(echo_config(home)) as server:
        await server.chat("Hi")
        assert "reshore_ledger" not in await page(server)
    assert not (home / "ledger.db").exists()
