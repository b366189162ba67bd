"""Prompts and answers: which are kept, and what of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.config import LedgerConfig
from reshore.ledger.entry import PairTexts, Texts
from reshore.ledger.texts import Censor


def kept(text: str, **settings: object) -> Texts:
    censor = Censor(LedgerConfig(**settings))
    return censor.black_out(censor.shorten(Texts("req", text, "", 0.0)))


def test_none_are_kept_unless_told() -> None:
    assert not any(Censor(LedgerConfig()).wants(f"req_{n}") for n in range(1000))


def test_the_share_that_is_asked_for_is_kept() -> None:
    censor = Censor(LedgerConfig(texts=0.2))
    wanted = [censor.wants(f"req_{n}") for n in range(10_000)]
    assert 1800 < sum(wanted) < 2200
    assert all(Censor(LedgerConfig(texts=1.0)).wants(f"req_{n}") for n in range(1000))


def test_what_a_pattern_matches_is_black_also_where_the_text_would_be_cut() -> None:
    text = "card 4111111111111111, mail ada@example.com, " + "4111111111111111" * 3
    found = kept(text, redact=(r"\d{16}", r"\S+@\S+"), text_bytes=50)
    assert "4111" not in found.prompt
    assert "ada@" not in found.prompt
    assert found.prompt.startswith("card █████, mail █████ ")
    assert found.cut


def test_what_a_pattern_matches_in_a_request_is_black_as_it_reads_and_the_request_stays_json() -> (
    None
):
    body = {"messages": [{"role": "tool", "content": "card:\n4111111111111111, Müller"}]}
    found = kept(json.dumps(body), redact=(r"\b\d{16}\b", "(?i)müller"))
    assert json.loads(found.prompt)["messages"][0]["content"] == "card:\n█████, █████"
    assert not found.cut


def test_both_answers_of_a_pair_are_blacked_out_as_its_prompt() -> None:
    said = json.dumps({"note": "id:\n1234"})
    censor = Censor(LedgerConfig(redact=(r"\b\d{4}\b",)))
    found = censor.black_out_pair(PairTexts(prompt=said, local=said, cloud=said))
    assert {found.prompt, found.local, found.cloud} == {r'{"note": "id:\n█████"}'}


@pytest.mark.parametrize("offset", range(0, 265, 15))
def test_half_of_a_match_is_not_kept_where_blacking_out_makes_room_for_it(offset: int) -> None:
    text = "z" * offset + ("x" * 200 + "key-" + "s" * 60 + ".") * 20
    found = kept(text, redact=(r"x{200}", r"key-s+\."), text_bytes=500)
    assert "key-" not in found.prompt
    assert found.cut


@given(text=st.text(max_size=200), most=st.integers(1, 100))
def test_a_kept_text_is_never_longer_than_it_may_be(text: str, most: int) -> None:
    found = kept(text, text_bytes=most)
    assert len(found.prompt.encode()) <= most
    assert text.startswith(found.prompt)
    assert found.cut == (found.prompt != text)


def test_what_was_cut_before_stays_marked() -> None:
    assert Censor(LedgerConfig()).black_out(Texts("req", "a", "b", 0.0, cut=True)).cut
