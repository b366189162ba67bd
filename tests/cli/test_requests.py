import csv
import json
import subprocess
import time
from datetime import UTC, datetime

import pytest

from reshore.cli.ledger_options import moment_ms
from tests.cli.conftest import RESHORE, environment
from tests.ledger.samples import AT_S, LOCAL, attempt, outcome, settings
from tests.ledger.test_queries import SAMPLES, fill


@pytest.fixture
def ledger(home):
    config = settings(home)
    fill(config, SAMPLES)
    return config


def test_without_a_ledger_it_says_so(cli, home):
    ended = cli("requests")
    assert ended.code == 1
    assert ended.err.startswith(f"error: there is no ledger at {home}/ledger.db yet")


def test_requests_are_shown_with_who_answered_and_what_it_cost(cli, ledger):
    title, *rows = cli("requests", "--since", "2025-06-01").out.splitlines()
    assert title.split()[:4] == ["TIME", "ASKED", "ANSWERED", "BY"]
    cells = [row.split()[2:] for row in rows]
    assert cells[0] == [
        *("gpt-4o-mini", "openai/gpt-4o-mini", "cloud", "200", "1000", "100"),
        *("200", "ms", "1.2", "s", "$0.000195", "$0.00"),
    ]
    assert cells[1][:3] == ["gpt-4o-mini", "qwen2.5:7b", "local"]
    assert cells[1][-2:] == ["$0.00", "$0.000195"]
    assert cells[2][-2:] == ["$0.000390", "-$0.000195"]
    assert cells[3][-2:] == ["?", "?"]
    assert cells[5][1] == "Unreachable"


def test_one_request_is_shown_with_everything_that_was_tried(cli, home):
    tries = (attempt(error="Disconnected", answered=True), attempt(role="resume", target=LOCAL))
    fill(settings(home), [outcome("req_a", attempts=tries), outcome("req_b")])
    shown = cli("requests", "req_a").out
    facts, _, table = shown.partition("\n\n")
    assert "why          as told" in facts
    assert "req_b" not in shown
    title, first, second = table.splitlines()
    assert title.split()[:3] == ["TRY", "ASKED", "STATUS"]
    assert first.startswith("primary")
    assert first.endswith("the answer, Disconnected")
    assert second.startswith("resume   qwen2.5:7b")
    told = json.loads(cli("requests", "req_a", "--json").out)
    assert told["request"]["request_id"] == "req_a"
    assert [each["role"] for each in told["attempts"]] == ["primary", "resume"]
    assert told["attempts"][1]["cost_usd"] == 0.0


def test_a_request_that_is_not_there_is_not_found(cli, ledger):
    ended = cli("requests", "req_nobody")
    assert ended.code == 3
    assert "there is no request 'req_nobody' in the ledger" in ended.err


@pytest.mark.parametrize("option", [("--tail",), ("--side", "local"), ("--since", "7d")])
def test_an_id_goes_with_no_filter(cli, ledger, option):
    ended = cli("requests", "req_1", *option)
    assert (ended.code, ended.out) == (2, "")
    assert "an id means one request" in ended.err


def test_an_answer_that_broke_off_is_told(cli, home):
    fill(settings(home), [outcome("a", error="Disconnected", wall_s=time.time())])
    assert "openai/gpt-4o-mini (Disconnected)" in cli("requests").out


@pytest.mark.parametrize("command", [("requests",), ("cost", "--by", "asked")])
def test_a_name_cannot_write_to_the_terminal(cli, home, command):
    fill(settings(home), [outcome("a", asked_model="\x1b[2J\nmine", wall_s=time.time())])
    shown = cli(*command).out
    assert "\x1b" not in shown
    assert r"\x1b[2J\nmine" in shown


def test_filters_narrow_it(cli, ledger):
    found = json.loads(cli("requests", "--since", "2025-06-01", "--side", "local", "--json").out)
    assert [each["request_id"] for each in found] == ["local"]
    assert cli("requests", "--since", "1h").err == "no such request in the ledger\n"


def test_json_has_numbers_for_money_and_null_for_what_is_unknown(cli, ledger):
    found = json.loads(cli("requests", "--since", "2025-06-01", "--json", "-n", "3").out)
    unknown, _, broken = found
    assert (unknown["cost_usd"], unknown["saving_usd"]) == (None, None)
    assert broken["cost_usd"] == 0
    first = json.loads(cli("requests", "--since", "2025-06-01", "--json").out)[0]
    assert first["cost_usd"] == 0.000195
    assert first["time"] == "2025-06-15T15:06:40Z"


def test_all_requests_of_a_period_are_exported(cli, ledger, tmp_path):
    path = tmp_path / "out.csv"
    ended = cli("requests", "--export", str(path))
    assert ended.err == f"6 requests in {path}\n"
    with path.open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 6


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--since", "yesterday", "no time"),
        ("--until", "2025-13-01", "no time"),
        ("--side", "left", "local or cloud"),
        ("--status", "oops", "4xx"),
    ],
)
def test_what_is_not_understood_is_explained(cli, ledger, option, value, word):
    ended = cli("requests", option, value)
    assert ended.code == 2
    assert word in ended.err


def test_those_that_come_are_followed(home, ledger):
    with subprocess.Popen(
        [*RESHORE, "requests", "--tail", "--json", "--since", "2025-06-01", "-n", "1"],
        env=environment(home),
        stdout=subprocess.PIPE,
        text=True,
    ) as follower:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["request_id"] == "broken"
        fill(ledger, [outcome("new", attempts=(attempt(target=LOCAL),))])
        assert json.loads(follower.stdout.readline())["request_id"] == "new"
        follower.kill()


def test_a_time_is_a_span_a_day_or_a_moment():
    now = datetime.fromtimestamp(AT_S, UTC)
    at_ms = round(AT_S * 1000)
    assert moment_ms("90m", now) == at_ms - 90 * 60_000
    assert moment_ms("2d", now) == at_ms - 2 * 86_400_000
    assert moment_ms("2025-06-15T15:06:40Z", now) == at_ms
    midnight = datetime(2025, 6, 15).astimezone()
    assert moment_ms("2025-06-15", now) == round(midnight.timestamp() * 1000)
