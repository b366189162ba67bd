"""Everybody is told of a request that ended, whoever else fails."""

from __future__ import annotations

import logging

import pytest

from reshore.server.recording import Recorder
from reshore.types import Attempt, Outcome, Target

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
