"""What a request says is read leniently, in every dialect."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.routing.content import Content, Turn, read_content, texts
from reshore.wire.inner import LAYERS

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
fields = [
    *("messages", "input", "prompt", "suffix", "instructions", "system", "images", "tools"),
    *("functions", "response_format", "format", "text", "max_tokens", "options", "reasoning"),
]
bodies = st.dictionaries(st.sampled_from(fields), json_values | st.lists(json_values))


@given(bodies | json_values)
def test_no_body_is_too_odd_to_be_read(body: Any) -> None:
    content = read_content(body)
    assert all(isinstance(turn.text, str) for turn in content.turns)
    assert isinstance(content.asked(), str)


def test_a_conversation_of_openai() -> None:
    body = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "https://a/b.png"}},
                    {"type": "input_audio", "input_audio": {"data": "x"}},
                ],
            },
            {"role": "assistant", "content": None, "tool_calls": [{}]},
            {"role": "user", "content": "And now?"},
        ],
        "tools": [{}, {}],
        "response_format": {"type": "json_schema", "json_schema": {}},
        "max_completion_tokens": 5,
        "reasoning_effort": "high",
    }
    assert read_content(body) == Content(
        turns=(
            Turn("system", "Be brief."),
            Turn("user", "What is this?", 1, ("https://a/b.png",)),
            Turn("assistant", ""),
            Turn("user", "And now?"),
        ),
        tools=2,
        answer="schema",
        max_tokens=5,
        effort="high",
    )
    assert read_content(body).asked() == "And now?"
    assert [turn.role for turn in read_content(body).opening()] == ["system", "user"]


def test_a_conversation_of_ollama() -> None:
    body = {
        "messages": [{"role": "user", "content": "this?", "images": ["aGk="]}],
        "format": "json",
        "options": {"num_predict": 7},
    }
    content = read_content(body)
    assert content.turns == (Turn("user", "this?", 1, ("aGk=",)),)
    assert (content.answer, content.max_tokens) == ("json", 7)


def test_a_prompt_of_ollama_with_a_system_prompt_and_an_image() -> None:
    content = read_content({"system": "s", "prompt": "p", "images": ["aGk="], "format": {"a": 1}})
    assert content.turns == (Turn("system", "s"), Turn("user", "p", 1, ("aGk=",)))
    assert content.answer == "schema"


def test_the_responses_endpoint() -> None:
    body = {
        "instructions": "s",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "t"},
                    {"type": "input_image", "image_url": "u"},
                ],
            }
        ],
        "text": {"format": {"type": "json_object"}},
        "max_output_tokens": 9,
        "reasoning": {"effort": "low"},
    }
    content = read_content(body)
    assert content.turns == (Turn("system", "s"), Turn("user", "t", 1, ("u",)))
    assert (content.answer, content.max_tokens, content.effort) == ("json", 9, "low")


def test_inputs_of_embeddings_and_token_ids() -> None:
    assert read_content({"input": ["a", "b"]}).turns == (Turn("user", "a"), Turn("user", "b"))
    assert read_content({"input": [1, 2, 3]}).turns == ()


def test_functions_are_tools() -> None:
    assert read_content({"functions": [{}]}).tools == 1


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({}, "text"),
        ({"response_format": {"type": "text"}}, "text"),
        ({"response_format": {"type": "json_object"}}, "json"),
        ({"format": ""}, "text"),
        ({"format": "xml"}, "text"),
    ],
)
def test_the_shape_that_is_asked_for(body: Any, answer: str) -> None:
    assert read_content(body).answer == answer


@pytest.mark.parametrize("tokens", [-1, "9", 1.5, None])
def test_a_limit_that_is_none_is_passed_over(tokens: object) -> None:
    assert read_content({"max_tokens": tokens}).max_tokens is None


def test_without_a_user_the_whole_conversation_is_its_opening() -> None:
    content = read_content({"messages": [{"role": "system", "content": "s"}]})
    assert content.opening() == content.turns
    assert content.asked() == ""


def test_texts_are_found_at_any_depth_with_names_and_without_files() -> None:
    body = {
        "a": ["b", {"c": "d", "e": None}],
        "f": 1,
        "url": "data:image/png;base64,AAAA",
        "plain": "data:text/plain,hello",
    }
    assert sorted(texts(body)) == sorted(
        ["a", "b", "c", "d", "e", "f", "1", "url", "plain", "data:text/plain,hello"]
    )


def test_numbers_are_texts_and_other_values_are_none() -> None:
    assert sorted(texts([4111111111111111, 1.5, True, None])) == ["1.5", "4111111111111111"]


def test_json_in_a_string_is_read_beside_the_string_itself() -> None:
    said = json.dumps({"customer": "Müller", "note": "id:\n1", "card": 2, "on": True})
    assert sorted(texts(f" {said}")) == sorted(
        [f" {said}", "customer", "Müller", "note", "id:\n1", "card", "2", "on"]
    )


def test_json_is_read_through_some_layers_of_strings() -> None:
    said: Any = "Müller"
    for _ in range(4):
        said = json.dumps([said])
    assert "Müller" in set(texts(said))


@pytest.mark.parametrize(
    "said",
    [
        '```json\n{"customer": "M\\u00fcller"}\n```',
        '{"customer": "M\\u00fcller", "and',
        '{"a": "b"}\n{"customer": "M\\u00fcller"}',
        '{"customer": "M\\u00fcller", "cards": ' + "[" * 100_000,
        '{"customer": "M\\u00fcller", "card": ' + "1" * 5_000 + "}",
    ],
    ids=["fenced", "cut", "lines", "deep", "huge"],
)
def test_what_is_json_in_part_is_read_without_its_escapes(said: str) -> None:
    assert any("Müller" in text for text in texts({"content": said}))


def test_a_text_that_is_made_of_escapes_ends() -> None:
    assert len(list(texts("\\u005c" + "u005c" * 1000))) == LAYERS + 1


def test_depth_has_no_limit_of_its_own() -> None:
    body: Any = "deep"
    for _ in range(100_000):
        body = [body]
    assert list(texts(body)) == ["deep"]
