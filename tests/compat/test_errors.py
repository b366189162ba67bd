"""Failures as the official Python SDK sees them: which class, which code, which field."""

from __future__ import annotations

import openai
import pytest
from openai import OpenAI

from tests.compat.running import KEY, Server
from tests.compat.scripts import said, scripted_turn

# One grey pixel.
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCB"
    "d81ytgAAAABJRU5ErkJggg=="
)


def test_an_unknown_model_is_not_found_and_the_message_says_what_to_do(scripted: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        scripted.chat.completions.create(model="llama9", messages=said("hello"))
    error = caught.value
    assert (error.status_code, error.code, error.param) == (404, "model_not_found", "model")
    assert error.type == "invalid_request_error"
    assert "reshore pull llama9" in error.message
    assert error.request_id is not None


def test_a_misspelt_model_is_told_its_neighbours(scripted: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="tools"):
        scripted.chat.completions.create(model="toolz", messages=said("hello"))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 9}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 17}, "n"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"stop": [""]}, "stop"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"extra_body": {"temprature": 1}}, "temprature"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "telepathy"}]}]},
            "messages[0].content[0].type",
        ),
    ],
)
def test_a_bad_request_names_the_field(
    scripted: OpenAI, fields: dict[str, object], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        scripted.chat.completions.create(**{"model": "tiny", "messages": said("hello"), **fields})
    assert caught.value.status_code == 400
    assert caught.value.type == "invalid_request_error"
    assert caught.value.param is not None
    assert caught.value.param.startswith(param)


def test_a_prompt_beyond_the_context_says_how_long_both_are(scripted: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="4096") as caught:
        scripted.chat.completions.create(model="tiny", messages=said("word " * 5000))
    assert caught.value.code == "context_length_exceeded"
    assert caught.value.param == "messages"


def test_an_image_for_a_model_without_eyes_is_a_bad_request(scripted: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="image"):
        scripted.chat.completions.create(
            model="tiny",
            messages=[
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "image_url",
                            "image_url": {"url": PIXEL},
                        }
                    ],
                }
            ],
        )


def test_an_unknown_endpoint_is_not_found(scripted: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        scripted.images.generate(model="tiny", prompt="a fox")
    assert caught.value.code == "unknown_url"


@pytest.mark.parametrize("fault", ["error", "garbage", "cut", "exit"])
def test_a_failure_in_mid_stream_is_raised_after_what_was_said_before(
    scripted: OpenAI, fault: str
) -> None:
    """The SDK is silent when a stream merely ends early: only an error event makes it raise."""
    stream = scripted.chat.completions.create(
        model="tiny",
        messages=scripted_turn(text="one two three four", fault=fault, fault_after=2, gap_ms=5),
        stream=True,
    )
    words: list[str] = []
    with pytest.raises(openai.APIError) as caught:
        words.extend(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert "".join(words) in ("one", "one two")
    assert not isinstance(caught.value, openai.APIConnectionError)
    assert caught.value.message


def test_the_next_request_is_answered_after_an_engine_has_died(scripted: OpenAI) -> None:
    reply = scripted.chat.completions.create(model="tiny", messages=scripted_turn(text="back"))
    assert reply.choices[0].message.content == "back"


@pytest.mark.parametrize("key", ["unused", "sk-compat-0123456788", KEY[:-1]])
def test_a_wrong_key_is_an_authentication_error(narrow_server: Server, key: str) -> None:
    with (
        OpenAI(base_url=narrow_server.base_url, api_key=key, max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.models.list()
    assert caught.value.code == "invalid_api_key"
    assert KEY not in caught.value.message


def test_the_right_key_is_let_in(narrow_server: Server) -> None:
    with OpenAI(base_url=narrow_server.base_url, api_key=KEY, max_retries=0) as client:
        reply = client.chat.completions.create(model="tiny", messages=scripted_turn(text="welcome"))
    assert reply.choices[0].message.content == "welcome"


def test_a_full_queue_says_when_to_come_back_and_the_sdk_does(narrow_server: Server) -> None:
    """Nobody may wait for the one slot, so a second request is turned away until it is free."""
    with OpenAI(base_url=narrow_server.base_url, api_key=KEY, max_retries=0) as client:
        stream = client.chat.completions.create(
            model="tiny", messages=scripted_turn(forever=True, gap_ms=2), stream=True
        )
        next(iter(stream))
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(model="tiny", messages=said("hello"))
        assert (caught.value.status_code, caught.value.code) == (503, "overloaded")
        assert 1 <= int(caught.value.response.headers["retry-after"]) <= 120
        stream.close()
        patient = client.with_options(max_retries=3)
        reply = patient.chat.completions.create(model="tiny", messages=scripted_turn(text="now"))
        assert reply.choices[0].message.content == "now"
