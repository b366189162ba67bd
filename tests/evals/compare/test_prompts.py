"""Prompts come from files of several kinds."""

from __future__ import annotations

import contextlib
import csv
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.errors import CompareError
from reshore.evals.compare.prompts import Kind, kind_of, read_prompts


def test_lines_of_text_are_prompts() -> None:
    prompts = read_prompts("First?\n\n  \nSecond?\n", name="p.txt")
    assert [prompt.text for prompt in prompts] == ["First?", "Second?"]
    assert [prompt.id for prompt in prompts] == ["1", "4"]


def test_objects_say_what_is_right() -> None:
    line = {
        "id": "a",
        "prompt": "2+2?",
        "system": "Be short.",
        "reference": 4,
        "match": "numeric",
        "class": "maths",
        "conversation": "c1",
        "pattern": "4",
        "tool_calls": [{"function": {"name": "f", "arguments": '{"x": 1}'}}],
    }
    [prompt] = read_prompts(json.dumps(line), name="p.jsonl")
    assert [turn["role"] for turn in prompt.body["messages"]] == ["system", "user"]
    assert (prompt.id, prompt.group, prompt.conversation) == ("a", "maths", "c1")
    assert (prompt.expected.references, prompt.expected.match) == (("4",), "numeric")
    assert prompt.expected.calls is not None
    assert prompt.expected.calls[0].arguments == '{"x": 1}'
    assert prompt.expected.proves


def test_a_line_may_hold_a_separator_that_python_takes_for_its_end() -> None:
    [prompt] = read_prompts('{"prompt": "a\u2028b"}', name="p.jsonl")
    assert prompt.text == "a\u2028b"


def test_requests_of_the_batch_api_are_prompts_without_their_model() -> None:
    line = {
        "custom_id": "r-1",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": "Hi"}],
            "max_tokens": 5,
        },
        "reference": ["Hello", "Hi"],
    }
    [prompt] = read_prompts(json.dumps(line), name="batch.jsonl")
    assert prompt.id == "r-1"
    assert "model" not in prompt.body
    assert prompt.body["max_tokens"] == 5
    assert prompt.request.sampling.max_tokens == 5
    assert prompt.expected.references == ("Hello", "Hi")


def test_titles_of_columns_are_words_of_ours() -> None:
    table = '\ufeffprompt,reference,class,schema\n"a, b?",yes,x,"{""type"": ""object""}"\nc,,,\n'
    first, second = read_prompts(table, name="p.csv")
    assert (first.text, first.group) == ("a, b?", "x")
    assert first.expected.schema == {"type": "object"}
    assert (second.text, second.expected.references) == ("c", ())


def test_a_mark_of_unicode_at_the_beginning_is_no_part_of_the_prompt() -> None:
    [prompt] = read_prompts('\ufeff{"prompt": "a"}')
    assert prompt.text == "a"


def test_a_cell_may_be_longer_than_python_takes_for_one() -> None:
    usual = csv.field_size_limit()
    [prompt] = read_prompts("prompt\n" + "a" * (usual + 1), name="p.csv")
    assert len(prompt.text) == usual + 1
    assert csv.field_size_limit() == usual


_DEEP = "[" * 3000 + "]" * 3000


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("p.jsonl", '{"prompt": "a"}\n{"prompt', "p.jsonl, line 2: no JSON object"),
        ("p.jsonl", '{"promt": "a"}', "'promt' is not known here. Did you mean prompt?"),
        ("p.jsonl", '{"id": "a"}', "either `prompt` or `messages`"),
        ("p.jsonl", '{"prompt": "a", "messages": []}', "either `prompt` or `messages`"),
        ("p.jsonl", '{"messages": [{"role": "x"}]}', "line 1: "),
        ("p.jsonl", '{"prompt": "a", "match": "nearly"}', "one of final, exact"),
        ("p.jsonl", '{"prompt": "a", "pattern": "("}', "pattern: "),
        ("p.jsonl", '{"prompt": "a", "pattern": 5}', "as a text"),
        ("p.jsonl", '{"prompt": "a", "tool_calls": [{}]}', "line 1: tool_calls is a list of"),
        ("p.jsonl", '{"prompt": "a", "tool_calls": [{"function": 5}]}', "tool_calls is a list of"),
        ("p.jsonl", '{"prompt": "a", "tool_calls": 5}', "tool_calls is a list of"),
        ("p.jsonl", '{"prompt": "a", "schema": {"type": "x"}}', "schema.type must be among"),
        ("p.jsonl", '{"prompt": "a", "schema": {"$ref": "http://x/y"}}', "nothing is fetched"),
        ("p.jsonl", '{"prompt": 5}', "messages[0].content"),
        ("p.jsonl", '{"body": {}, "url": "/v1/embeddings"}', "only /v1/chat/completions"),
        ("p.jsonl", '{"body": []}', "body is no object"),
        ("p.jsonl", '{"id": 1, "prompt": "a"}\n{"id": 1, "prompt": "b"}', "the id '1'"),
        ("p.jsonl", '{"prompt": "a", "schema": ' + _DEEP + "}", "line 1: JSON that is nested"),
        ("p.csv", f"prompt,schema\na,{_DEEP}\n", "line 2: JSON that is nested"),
        ("p.csv", "prompt\na,b\n", "more cells than titles"),
        ("p.csv", 'prompt,schema\na,"{"\n', "line 2"),
        ("p.txt", " \n", "there is no prompt"),
    ],
)
def test_what_is_no_prompt_is_told_by_its_line(name: str, text: str, says: str) -> None:
    with pytest.raises(CompareError) as caught:
        read_prompts(text, name=name)
    assert says in str(caught.value)
    assert str(caught.value).startswith(name)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
_KEYS = (
    *("prompt", "messages", "tools", "reference", "match", "schema", "pattern", "tool_calls"),
    *("id", "class", "response_format", "system", "body", "custom_id", "url"),
)
_ROWS = st.dictionaries(st.sampled_from(_KEYS), _JSON)


@given(_ROWS)
def test_any_object_is_a_prompt_or_told(row: dict[str, Any]) -> None:
    with contextlib.suppress(CompareError):
        assert len(read_prompts(json.dumps(row), kind="jsonl")) == 1


@given(st.text(), st.sampled_from(("jsonl", "csv", "text")))
def test_any_text_is_prompts_or_told(text: str, kind: Kind) -> None:
    with contextlib.suppress(CompareError):
        assert read_prompts(text, kind=kind)


def test_what_is_piped_in_is_known_by_its_beginning() -> None:
    assert kind_of("stdin", ' {"prompt": "a"}') == "jsonl"
    assert kind_of("stdin", "What is {}?") == "text"
    assert kind_of("x.txt", "{") == "text"
