"""What can be learned from, and what has to be left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.evals.gathering import (
    HELD_OUT,
    Example,
    Gathered,
    Record,
    gather,
    is_held_out,
    parted,
    unseen,
)
from reshore.routing.learned import Origin
from reshore.types import Target
from tests.evals.gathered import body, paired, record

OTHER = Target(side="local", backend="local", model="phi4")


def only(gathered: Gathered) -> Example:
    [example] = gathered.examples
    return example


@pytest.mark.parametrize(
    ("verdict", "weak", "strong"), [("win", 1, 0), ("tie", 1, 1), ("loss", 0, 1)]
)
def test_a_verdict_is_worth_what_it_says(verdict: str, weak: float, strong: float) -> None:
    pair = only(gather([record(verdict=verdict)])).pair
    assert (pair.weak, pair.strong) == (weak, strong)


def test_known_qualities_say_more_than_a_verdict() -> None:
    pair = only(gather([record(verdict="tie", local_quality=0.0, cloud_quality=0.0)])).pair
    assert (pair.weak, pair.strong) == (0.0, 0.0)
    half = only(gather([record(verdict="loss", local_quality=0.0, cloud_quality=None)])).pair
    assert (half.weak, half.strong) == (0.0, 1.0)


def test_what_was_asked_last_is_learned_from_and_routing_sees_the_rest() -> None:
    example = only(gather([record(prompt=body("Hello", "Hi", "Prove it."))]))
    assert example.pair.prompt == "Prove it."
    assert len(example.content.turns) == 3
    assert example.pair.answer == "That."


@pytest.mark.parametrize("text", ["How are you?", "42", '["a"]', "{not json", ""])
def test_plain_texts_are_prompts_too(text: str) -> None:
    found = gather([record(prompt=text)])
    if text.startswith("{"):
        assert found.left_out == {"text cut off": 1}
    elif text:
        assert only(found).pair.prompt == text
    else:
        assert found.left_out == {"without text": 1}


def test_what_cannot_be_used_is_counted_by_its_reason() -> None:
    found = gather(
        [
            record("good"),
            record("good", verdict="win"),
            record("nobody", verdict="undecided"),
            record("cut", prompt=body("Hello")[:-3]),
            record("empty", prompt='{"messages": []}'),
            Record(paired=paired("silent")),
            record("other", local=OTHER, arrived_s=10.0),
            record("never", propensity=0.0),
            record("odd", propensity=float("nan")),
        ]
    )
    assert len(found.examples) == 1
    assert found.left_out == {
        "twice": 1,
        "undecided": 1,
        "text cut off": 1,
        "without text": 2,
        "of other models": 1,
        "without propensity": 2,
    }


def test_the_models_are_those_of_the_newest_pair_unless_they_are_named() -> None:
    pairs = [record("old", arrived_s=1.0), record("new", arrived_s=2.0, local=OTHER)]
    newest, named = gather(pairs), gather(pairs, local="llama3.2")
    assert (newest.local, newest.cloud) == ("phi4", "gpt-4o")
    assert (named.local, named.left_out) == ("llama3.2", {"of other models": 1})
    assert gather(pairs, cloud="nobody").examples == ()


def test_answers_without_text_say_nothing_to_a_router_that_reads_them() -> None:
    calling = [record(answer="")]
    assert gather(calling).left_out == {}
    assert gather(calling, reads="answer").left_out == {"without answer": 1}


def test_a_conversation_without_a_name_is_known_by_how_it_began() -> None:
    found = gather(
        [
            record("a", prompt=body("Hello", "Hi", "One")),
            record("b", prompt=body("Hello", "Hi", "One", "Ok", "Two")),
            record("c", prompt=body("Good day")),
            record("d", conversation="hers"),
        ]
    )
    first, second, third, fourth = (example.pair.key for example in found.examples)
    assert first == second != third
    assert fourth == "hers"


# Which are for training


def examples(*keys: str, arrived_s: float = 0.0) -> list[Example]:
    records = [record(f"{key}{at}", conversation=key) for at, key in enumerate(keys)]
    return [
        Example(pair=each.pair, content=each.content, arrived_s=arrived_s, propensity=1.0)
        for each in gather(records).examples
    ]


@given(st.lists(st.text(min_size=1), min_size=1))
def test_a_conversation_is_on_one_side_alone_and_always_on_the_same(keys: list[str]) -> None:
    kept, held_out = parted(examples(*keys, *keys))
    assert {each.pair.key for each in kept}.isdisjoint(each.pair.key for each in held_out)
    assert len(kept) + len(held_out) == 2 * len(keys)


def test_a_fifth_of_the_conversations_is_held_out() -> None:
    share = sum(is_held_out(f"conversation {at}") for at in range(5000)) / 5000
    assert share == pytest.approx(HELD_OUT, abs=0.02)


def test_what_came_after_a_training_was_not_in_it_and_what_was_held_out_neither() -> None:
    held = next(key for key in map(str, range(100)) if is_held_out(key))
    known, fresh = [key for key in map(str, range(100)) if not is_held_out(key)][:2]
    before = examples(held, known, arrived_s=10.0)
    after = examples(held, known, fresh, arrived_s=11.0)
    origin = Origin(local="", cloud="", until_s=10.0)
    found = [each.pair.key for each in unseen([*before, *after], [origin])]
    assert found == [held, held, fresh]
    assert len(unseen([*before, *after], [])) == 5


def test_a_pair_stands_for_the_requests_that_became_none() -> None:
    found = gather([record("copied", propensity=0.02), record("compared")])
    assert [each.pair.weight for each in found.examples] == [50.0, 1.0]
