"""One JSON line per request, without what people wrote."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from reshore.telemetry.logs import JsonFormatter, record_outcome
from reshore.types import Attempt, Decision, Outcome, Target, Timings, Usage
from tests.telemetry.outcomes import outcome


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("reshore.request")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_an_outcome_is_one_line_without_empty_fields(lines: io.StringIO) -> None:
    record_outcome(
        Outcome(
            request_id="req_1",
            method="POST",
            path="/v1/chat/completions",
            status=200,
            total_ms=12.3456,
            model="m:latest",
            usage=Usage(prompt_tokens=3, completion_tokens=2),
            timings=Timings(load_ms=10),
        )
    )
    line = json.loads(lines.getvalue())
    assert line["request_id"] == "req_1"
    assert line["total_ms"] == 12.35
    assert (line["prompt_tokens"], line["completion_tokens"], line["load_ms"]) == (3, 2, 10)
    assert "error" not in line
    assert "ttft_ms" not in line


def test_a_routed_request_says_who_answered_and_by_which_version(lines: io.StringIO) -> None:
    local = Target(side="local", backend="local", model="m")
    cloud = Target(side="cloud", backend="openai", model="gpt")
    record_outcome(
        Outcome(
            request_id="req_1",
            method="POST",
            path="/v1/chat/completions",
            status=200,
            total_ms=1,
            decision=Decision(side="local", route="gpt*", version=7),
            attempts=(
                Attempt(role="primary", target=local, error="Crashed"),
                Attempt(role="fallback", target=cloud, answered=True),
            ),
        )
    )
    line = json.loads(lines.getvalue())
    assert (line["side"], line["route"], line["version"], line["attempts"]) == (
        "cloud",
        "gpt*",
        7,
        2,
    )


def test_probes_that_went_well_are_for_debugging_only(lines: io.StringIO) -> None:
    for status in (200, 503):
        record_outcome(
            Outcome(request_id="r", method="GET", path="/readyz", status=status, total_ms=1)
        )
    (line,) = lines.getvalue().splitlines()
    assert json.loads(line)["status"] == 503


def test_silence_costs_nothing(lines: io.StringIO) -> None:
    logging.getLogger("reshore.request").setLevel(logging.WARNING)
    record_outcome(Outcome(request_id="r", method="GET", path="/", status=200, total_ms=1))
    assert lines.getvalue() == ""


def test_exceptions_and_odd_values_are_written_too() -> None:
    record = logging.LogRecord("x", logging.ERROR, "", 0, "went %s", ("wrong",), None)
    record.what = object
    line = json.loads(JsonFormatter().format(record))
    assert line["message"] == "went wrong"
    assert "object" in line["what"]


def test_a_client_cannot_fill_the_log_with_a_name(lines: io.StringIO) -> None:
    record_outcome(outcome(asked_model="m" * 100_000, path="/v1/" + "p" * 100_000))
    assert len(lines.getvalue()) < 2000
