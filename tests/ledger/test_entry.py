"""From outcomes to rows."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.config import UpstreamConfig
from reshore.ledger import schema
from reshore.ledger.entry import (
    COST,
    Pairing,
    PairTexts,
    Texts,
    attempt_rows,
    clean,
    listed_price,
    pair_row,
    request_row,
    texts_row,
    worth_keeping,
)
from reshore.ledger.prices import Prices
from reshore.types import Outcome, Target, Timings, Usage
from tests.ledger.samples import AT_S, LOCAL, PRICE, attempt, outcome, paired

PRICES = Prices({}, {"openai": UpstreamConfig()})


def columns(table: str) -> list[str]:
    return [name for name in schema.metadata.tables[table].c.keys() if name != "seq"]  # noqa: SIM118


def request(what: Outcome) -> dict[str, object]:
    row = request_row(what, attempt_rows(what, PRICES), listed_price(what, PRICES))
    return dict(zip(columns("requests"), row, strict=True))


def tries(what: Outcome) -> list[dict[str, object]]:
    return [dict(zip(columns("attempts"), row, strict=True)) for row in attempt_rows(what, PRICES)]


def test_a_request_has_every_column() -> None:
    assert request(outcome()) == {
        "request_id": "req_1",
        "arrived_ms": AT_S * 1000,
        "method": "POST",
        "path": "/v1/chat/completions",
        "key_id": "0a1b2c3d",
        "asked_model": "gpt-4o-mini",
        "model": "gpt-4o-mini",
        "side": "cloud",
        "backend": "openai",
        "route": "gpt-*",
        "policy": "cloud",
        "why": "as told",
        "version": 3,
        "score": None,
        "private": False,
        "status": 200,
        "error": None,
        "stream": True,
        "ttft_ms": 200.0,
        "tpot_ms": 10.0,
        "total_ms": 1190.0,
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "cached_tokens": 200,
        "reasoning_tokens": None,
        "attempts": 1,
        "retries": 0,
        "cost_nano_usd": PRICE,
        "unpriced": 0,
        "list_nano_usd": PRICE,
        "list_source": request(outcome())["list_source"],
    }


def test_an_attempt_has_every_column() -> None:
    (tried,) = tries(outcome(attempts=(attempt(started_ms=3.0, timings=Timings(load_ms=7.0)),)))
    source = str(tried.pop("price_source"))
    assert source.startswith("genai-prices")
    assert tried == {
        "request_id": "req_1",
        "number": 0,
        "at_ms": AT_S * 1000,
        "role": "primary",
        "side": "cloud",
        "backend": "openai",
        "model": "gpt-4o-mini",
        "answered": True,
        "status": 200,
        "error": None,
        "finish_reason": None,
        "started_ms": 3.0,
        "ttft_ms": 200.0,
        "total_ms": 900.0,
        "load_ms": 7.0,
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "cached_tokens": 200,
        "reasoning_tokens": None,
        "cost_nano_usd": PRICE,
    }


def test_texts_have_every_column() -> None:
    row = texts_row(Texts("req_1", "a", "b", AT_S, cut=True))
    assert dict(zip(columns("texts"), row, strict=True)) == {
        "request_id": "req_1",
        "at_ms": AT_S * 1000,
        "prompt": "a",
        "answer": "b",
        "cut": True,
    }


def test_a_pair_has_every_column() -> None:
    texts = PairTexts(prompt="a", local="b", cloud="c", cut=True)
    row = pair_row(Pairing(paired(local_quality=1.0), "0a1b2c3d", texts))
    assert dict(zip(columns("pairs"), row, strict=True)) == {
        "request_id": "req_1",
        "at_ms": AT_S * 1000,
        "source": "shadow",
        "route": "gpt-*",
        "key_id": "0a1b2c3d",
        "conversation": "c0ffee",
        "answered": "cloud",
        "local_model": "qwen2.5:7b",
        "cloud_backend": "openai",
        "cloud_model": "gpt-4o-mini",
        "verdict": "tie",
        "by": "agreement",
        "local_quality": 1.0,
        "cloud_quality": None,
        "propensity": 0.05,
        "prompt": "a",
        "local_text": "b",
        "cloud_text": "c",
        "cut": True,
    }


def test_a_pair_without_texts_has_none() -> None:
    row = dict(zip(columns("pairs"), pair_row(Pairing(paired())), strict=True))
    assert (row["prompt"], row["local_text"], row["cloud_text"]) == (None, None, None)
    assert row["cut"] is False


def test_the_costs_of_all_attempts_are_added() -> None:
    escalated = outcome(
        attempts=(
            attempt(target=LOCAL, answered=False),
            attempt(role="hedge", answered=False),
            attempt(role="escalate"),
            attempt(role="retry", answered=False, usage=None, error="Cancelled", status=None),
        )
    )
    row = request(escalated)
    assert (row["attempts"], row["retries"]) == (4, 1)
    assert (row["cost_nano_usd"], row["unpriced"]) == (2 * PRICE, 1)


def test_the_side_is_that_of_who_answered_and_else_that_of_the_decision() -> None:
    fallen = outcome(
        model=None, attempts=(attempt(answered=False), attempt(target=LOCAL, role="fallback"))
    )
    assert request(fallen)["side"] == "local"
    assert request(fallen)["model"] == "qwen2.5:7b"
    assert request(outcome(attempts=()))["side"] == "cloud"
    assert request(outcome(attempts=(), decision=None))["side"] is None


def test_what_the_asked_model_would_have_cost_is_for_the_tokens_of_the_answer() -> None:
    local = outcome(model="qwen2.5:7b", attempts=(attempt(target=LOCAL),))
    row = request(local)
    assert (row["cost_nano_usd"], row["list_nano_usd"]) == (0, PRICE)


def test_the_asked_model_cost_what_it_did_where_it_answered() -> None:
    prices = Prices({}, {"cheap": UpstreamConfig(kind="vllm", url="http://127.0.0.1:1")})
    other = Target(side="cloud", backend="cheap", model="")
    answered = outcome(attempts=(attempt(target=other),))
    assert listed_price(answered, prices) is None


@pytest.mark.parametrize("asked", ["tiny", "tiny:latest", "gpt-4o"])
def test_a_model_of_this_machine_has_no_list(asked: str) -> None:
    model = "tiny:latest" if asked.startswith("tiny") else asked
    target = Target(side="local", backend="local", model=model)
    local = outcome(asked_model=asked, model=model, attempts=(attempt(target=target),))
    assert request(local)["list_nano_usd"] is None


def test_without_tokens_nothing_can_be_compared() -> None:
    assert request(outcome(usage=None))["list_nano_usd"] is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 10.0),
        ({"ttft_ms": None}, None),
        ({"usage": None}, None),
        ({"usage": Usage(completion_tokens=1)}, None),
    ],
)
def test_time_per_token(changes: dict[str, object], expected: float | None) -> None:
    assert outcome(**changes).tpot_ms == expected


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"attempts": (), "decision": None, "status": 404}, True),
        ({"attempts": (), "decision": None, "status": 401, "asked_model": None}, True),
        ({"path": "/v1/models", "attempts": (), "decision": None, "asked_model": None}, False),
        ({"path": "/health"}, False),
        ({"path": "/favicon.ico", "status": 404}, False),
    ],
)
def test_what_concerns_no_model_is_not_kept(changes: dict[str, object], kept: bool) -> None:
    assert worth_keeping(outcome(**changes)) is kept


@given(text=st.text(alphabet=st.characters(), max_size=50), most=st.integers(1, 60))
def test_a_clean_text_fits_everywhere(text: str, most: int) -> None:
    cleaned = clean(text, most)
    assert cleaned is not None
    assert len(cleaned) <= most
    assert "\0" not in cleaned
    assert msgspec.json.encode(cleaned)


def test_a_plain_text_is_left_alone() -> None:
    assert clean("gpt-4o", 256) == "gpt-4o"
    assert clean("héllo", None) == "héllo"
    assert clean(None, 3) is None


def test_the_price_of_an_attempt_is_where_it_is_looked_for() -> None:
    assert attempt_rows(outcome(), PRICES)[0][COST] == PRICE
