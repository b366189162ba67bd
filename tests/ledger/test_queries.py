"""What the ledger is asked."""

from __future__ import annotations

import pytest

from reshore.config import Config
from reshore.ledger.database import Database, reading
from reshore.ledger.entry import Ended
from reshore.ledger.queries import PAGE, Filter, Follower, last, pages, sums
from reshore.types import Decision, Outcome, Target, Usage
from tests.ledger.samples import AT_S, LOCAL, PRICE, attempt, outcome
from tests.ledger.test_database import write

UNKNOWN = Target(side="cloud", backend="gpu-box", model="my_model")
SAMPLES = [
    outcome("cloud"),
    outcome("local", model="qwen2.5:7b", attempts=(attempt(target=LOCAL),), wall_s=AT_S + 86_400),
    outcome(
        "dear",
        attempts=(
            attempt(target=LOCAL, answered=False),
            attempt(role="hedge", answered=False),
            attempt(),
        ),
        key="ffffffff",
    ),
    outcome(
        "unknown",
        asked_model="my_model",
        model="my_model",
        attempts=(attempt(target=UNKNOWN),),
        decision=Decision(side="cloud", route="my*"),
    ),
    outcome("refused", status=429, attempts=(), usage=None, model=None, decision=None),
    outcome(
        "broken",
        status=502,
        error="Unreachable",
        model=None,
        usage=None,
        attempts=(attempt(answered=False, usage=None, error="Unreachable", status=None),),
    ),
]


@pytest.fixture
def filled(config: Config) -> Config:
    fill(config, SAMPLES)
    return config


def fill(config: Config, outcomes: list[Outcome]) -> None:
    database = Database(config)
    write(database, *map(Ended, outcomes))
    database.close()


def ids(config: Config, **which: object) -> list[str]:
    with reading(config) as connection:
        return [str(row["request_id"]) for row in last(connection, Filter(**which), 100)]


@pytest.mark.parametrize(
    ("which", "found"),
    [
        ({}, ["cloud", "local", "dear", "unknown", "refused", "broken"]),
        ({"model": "qwen2.5:7b"}, ["local"]),
        ({"model": "gpt-4o*"}, ["cloud", "local", "dear", "refused", "broken"]),
        ({"model": "my_model"}, ["unknown"]),
        ({"model": "my_*"}, ["unknown"]),
        ({"model": "myxmodel"}, []),
        ({"model": "my%"}, []),
        ({"route": "gpt-*"}, ["cloud", "local", "dear", "broken"]),
        ({"route": "my*"}, ["unknown"]),
        ({"side": "local"}, ["local"]),
        ({"status": "429"}, ["refused"]),
        ({"status": "5xx"}, ["broken"]),
        ({"status": "2xx"}, ["cloud", "local", "dear", "unknown"]),
        ({"key": "ffffffff"}, ["dear"]),
        ({"since_ms": round(AT_S * 1000) + 1}, ["local"]),
        ({"until_ms": round(AT_S * 1000)}, []),
        ({"side": "cloud", "status": "5xx", "key": "0a1b2c3d"}, ["broken"]),
        ({"key": "' OR 1=1 --"}, []),
    ],
)
def test_which_requests_are_meant(
    filled: Config, which: dict[str, object], found: list[str]
) -> None:
    assert ids(filled, **which) == found


def test_the_last_ones_are_those_that_were_stored_last(filled: Config) -> None:
    with reading(filled) as connection:
        assert [row["request_id"] for row in last(connection, Filter(), 2)] == ["refused", "broken"]


def test_all_of_them_come_in_pages(config: Config) -> None:
    fill(config, [outcome(f"req_{number}") for number in range(2 * PAGE + 5)])
    with reading(config) as connection:
        sizes = [len(page) for page in pages(connection, Filter())]
    assert sizes == [PAGE, PAGE, 5]


def test_a_follower_gives_what_is_new_once(filled: Config) -> None:
    with reading(filled) as connection:
        follower = Follower(connection, Filter(side="cloud"))
        assert follower.news(connection) == []
    more = [outcome(f"new_{number}") for number in range(PAGE + 10)]
    fill(filled, [*more, outcome("here", attempts=(attempt(target=LOCAL),))])
    given: list[str] = []
    with reading(filled) as connection:
        while news := follower.news(connection):
            given += [str(row["request_id"]) for row in news]
    assert given == [each.request_id for each in more]


def test_sums_by_model_are_dearest_first(filled: Config) -> None:
    with reading(filled) as connection:
        lines = sums(connection, Filter(), "model")
    assert [line.group for line in lines][:1] == ["gpt-4o-mini"]
    found = {line.group: line for line in lines}
    mini = found["gpt-4o-mini"]
    assert (mini.requests, mini.cost, mini.unpriced) == (2, 3 * PRICE, 0)
    assert (mini.compared, mini.listed, mini.spent) == (2, 2 * PRICE, 3 * PRICE)
    assert (mini.prompt_tokens, mini.completion_tokens) == (2000, 200)
    local = found["qwen2.5:7b"]
    assert (local.cost, local.listed, local.spent) == (0, PRICE, 0)
    unknown = found["my_model"]
    assert (unknown.cost, unknown.unpriced, unknown.compared) == (0, 1, 0)


def test_what_was_never_tried_costs_nothing_and_is_not_counted(filled: Config) -> None:
    with reading(filled) as connection:
        (total,) = sums(connection, Filter(), None)
    assert total.requests == len(SAMPLES) - 1
    assert (total.cost, total.unpriced, total.compared) == (3 * PRICE, 1, 3)


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("day", [20254, 20255]),
        ("side", ["cloud", "local"]),
        ("key", ["0a1b2c3d", "ffffffff"]),
        ("route", ["gpt-*", "my*"]),
        ("asked", ["gpt-4o-mini", "my_model"]),
        ("backend", [None, "gpu-box", "local", "openai"]),
    ],
)
def test_what_requests_may_share(filled: Config, by: str, groups: list[object]) -> None:
    with reading(filled) as connection:
        found = [line.group for line in sums(connection, Filter(), by)]
    assert sorted(found, key=str) == sorted(groups, key=str)


def test_an_empty_ledger_has_no_sums(config: Config) -> None:
    Database(config).close()
    with reading(config) as connection:
        assert sums(connection, Filter(), "model") == []
        assert sums(connection, Filter(), None) == []
        assert last(connection, Filter(), 5) == []


def test_sums_of_months_do_not_overflow(config: Config) -> None:
    usage = Usage(prompt_tokens=10**12, completion_tokens=10**12)
    dear = [outcome(f"req_{n}", usage=usage, attempts=(attempt(usage=usage),)) for n in range(9)]
    fill(config, dear)
    with reading(config) as connection:
        (total,) = sums(connection, Filter(), None)
    assert total.cost == 9 * 750_000 * 10**9
