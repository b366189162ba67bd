"""Prompts out of what clients asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reshore.errors import CompareError
from reshore.evals.compare.sampled import Sampled, sampled
from reshore.ledger.samples import Sample
from reshore.routing.privacy import Privacy


def stored(number: int = 0, body: Any = None, **more: Any) -> Sample:
    chat = {
        "model": "gpt-4o",
        "stream": True,
        "messages": [{"role": "user", "content": f"{number}"}],
    }
    fields = {
        "request_id": f"req_{number}",
        "path": "/v1/chat/completions",
        "asked": "gpt-4o",
        "route": None,
        "key": None,
        "private": False,
        "prompt": json.dumps(chat if body is None else body),
        "answer": "",
        "cut": False,
    }
    return Sample(**{**fields, **more})


RULES = Privacy(names=("*-private",), keys=("0a1b2c3d",), patterns=(r"\bsecret\b",))


def taken(*samples: Sample, limit: int = 100, away: bool = True) -> Sampled:
    return sampled(samples, limit=limit, away=away, privacy=RULES)


def test_a_stored_chat_is_asked_again_without_its_model() -> None:
    found = taken(stored(1, route="gpt-*"))
    [prompt] = found.prompts
    assert prompt.body == {"messages": [{"role": "user", "content": "1"}]}
    assert (prompt.id, prompt.group, prompt.text) == ("req_1", "gpt-*", "1")
    assert found.left_out == {}


def test_the_class_is_the_route_or_else_the_name() -> None:
    assert taken(stored(1)).prompts[0].group == "gpt-4o"


def test_turns_of_one_conversation_belong_together() -> None:
    opening = [{"role": "system", "content": "S"}, {"role": "user", "content": "first"}]
    more = [{"role": "assistant", "content": "a"}, {"role": "user", "content": "second"}]
    found = taken(
        stored(1, {"messages": opening}), stored(2, {"messages": [*opening, *more]}), stored(3)
    )
    names = {prompt.id: prompt.conversation for prompt in found.prompts}
    assert names["req_1"] == names["req_2"] != names["req_3"]


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (stored(2, path="/api/chat"), "not of /v1/chat/completions"),
        (stored(2, cut=True), "not stored whole (ledger.text_bytes)"),
        (stored(2, private=True), "private"),
        (stored(2, prompt="{"), "no chat that can be read"),
        (stored(2, body=[1]), "no chat that can be read"),
        (stored(2, body={"messages": 7}), "no chat that can be read"),
        (stored(1), "asked before"),
    ],
)
def test_what_is_not_asked_again_is_counted(sample: Sample, reason: str) -> None:
    found = taken(stored(1), sample)
    assert len(found.prompts) == 1
    assert found.left_out == {reason: 1}


@pytest.mark.parametrize(
    "sample",
    [
        stored(2, asked="notes-private"),
        stored(2, key="0a1b2c3d"),
        stored(2, body={"messages": [{"role": "user", "content": "a secret"}]}),
    ],
)
def test_what_was_answered_here_anyway_is_held_against_the_rules(sample: Sample) -> None:
    """Nobody asked them then, and the target's name and key are others."""
    assert taken(stored(1), sample).left_out == {"private": 1}
    assert taken(stored(1), sample, away=False).left_out == {}


def test_what_is_private_may_be_asked_on_this_machine() -> None:
    assert len(taken(stored(1, private=True), away=False).prompts) == 1


def test_the_same_sample_is_drawn_each_time_whatever_came_since() -> None:
    many = [stored(n) for n in range(50)]
    few = taken(*many, limit=10)
    assert few.left_out == {"more than --limit": 40}
    assert taken(*reversed(many), limit=10).prompts == few.prompts
    grown = taken(*many, *(stored(n) for n in range(50, 60)), limit=10)
    assert len({p.id for p in grown.prompts} & {p.id for p in few.prompts}) >= 5


def test_without_any_it_says_what_to_do() -> None:
    with pytest.raises(CompareError, match=r"set `ledger.texts"):
        taken()
    with pytest.raises(CompareError, match="can be asked again: 2 private"):
        taken(stored(1, private=True), stored(2, private=True))
