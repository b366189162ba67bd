"""Of each conversation one pair counts."""

from __future__ import annotations

from reshore.evals.live.conversations import Conversations


def test_a_conversation_is_new_once() -> None:
    known = Conversations()
    assert [known.is_new(name) for name in ("a", "b", "a", "b", "c")] == [
        True,
        True,
        False,
        False,
        True,
    ]
    assert known.seen == {"a": 2, "b": 2, "c": 1}


def test_a_request_of_no_conversation_is_one_of_its_own() -> None:
    known = Conversations()
    assert [known.is_new("") for _ in range(3)] == [True] * 3
    assert known.seen == {}


def test_those_that_were_heard_of_last_are_remembered() -> None:
    known = Conversations()
    known.is_new("kept")
    for number in range(10_000):
        known.is_new(str(number))
        known.is_new("kept")
    assert len(known.seen) <= 4096
    assert not known.is_new("kept")
    assert not known.is_new("9999")
    assert known.is_new("0")
