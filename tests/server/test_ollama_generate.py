"""`/api/generate` over a real socket, on the scripted engine."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.server.harness import MODEL, Server, install
from tests.server.ollama import GENERATE, REFLECT, answered, engine_body, lines, prompt_of, refused

CODER = "coder:latest"
INFILL = {
    "tokenizer.ggml.fim_pre_token_id": 3,
    "tokenizer.ggml.fim_suf_token_id": 4,
    "tokenizer.ggml.fim_mid_token_id": 5,
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    install(tmp_path, MODEL, context_length=2048)
    install(tmp_path, CODER, context_length=2048, extra=INFILL)
    return tmp_path


async def test_a_stream_has_responses_and_ends_with_the_counts(server: Server) -> None:
    *pieces, last = await lines(server, GENERATE, prompt_of({"text": "one two"}))
    assert "".join(line["response"] for line in pieces) == "one two"
    assert all(line["done"] is False for line in pieces)
    assert (last["response"], last["done"], last["done_reason"]) == ("", True, "stop")
    assert last["eval_count"] == 2
    assert last["total_duration"] > 0


async def test_the_prompt_is_a_users_message(server: Server) -> None:
    body = await engine_body(server, GENERATE, prompt_of(REFLECT, system="be kind"))
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][0]["content"] == "be kind"


async def test_thoughts_have_a_field_of_their_own(server: Server) -> None:
    reply = await answered(server, GENERATE, prompt_of({"reasoning": "hm", "text": "42"}))
    assert (reply["thinking"], reply["response"]) == ("hm", "42")


@pytest.mark.parametrize("prompt", ["", None])
async def test_no_prompt_loads_the_model_or_unloads_it(server: Server, prompt: Any) -> None:
    reply = await answered(server, GENERATE, {"model": MODEL, "prompt": prompt})
    assert reply | {"created_at": ""} == {
        "model": MODEL,
        "created_at": "",
        "response": "",
        "done": True,
        "done_reason": "load",
    }
    (loaded,) = server.app.services.pool.loaded()
    assert loaded.in_flight == 0
    reply = await answered(server, GENERATE, {"model": MODEL, "keep_alive": 0})
    assert reply["done_reason"] == "unload"
    assert not server.app.services.pool.loaded()


async def test_a_raw_prompt_goes_to_the_model_as_it_is(server: Server) -> None:
    body = await engine_body(server, GENERATE, prompt_of(REFLECT, raw=True, format="json"))
    assert json.loads(body["prompt"].removeprefix("/echo ")) == REFLECT
    assert "messages" not in body
    assert "root ::=" in body["grammar"]
    reply = await answered(server, GENERATE, prompt_of("a b", raw=True))
    assert "context" not in reply


@pytest.mark.parametrize(
    "field", [{"template": "{{ .Prompt }}"}, {"system": "s"}, {"context": [1]}]
)
async def test_a_raw_prompt_stands_alone(server: Server, field: dict[str, Any]) -> None:
    text = await refused(server, GENERATE, prompt_of("hi", raw=True, **field))
    assert text == "raw mode does not support template, system, or context"


async def test_a_template_is_refused_and_an_empty_one_is_not(server: Server) -> None:
    text = await refused(server, GENERATE, prompt_of("hi", template="{{ .Prompt }}"))
    assert "Go template" in text
    await answered(server, GENERATE, prompt_of("hi", template=""))


async def test_a_suffix_needs_a_model_that_fills_in(server: Server) -> None:
    text = await refused(server, GENERATE, prompt_of("a", suffix="b"))
    assert text == "registry.ollama.ai/library/tiny:latest does not support insert"
    body = prompt_of(REFLECT, suffix="the end") | {"model": CODER}
    sent = await engine_body(server, GENERATE, body)
    assert sent["input_suffix"] == "the end"


async def test_a_context_goes_before_the_next_prompt_as_it_was(server: Server) -> None:
    first = await answered(server, GENERATE, prompt_of({"text": "blue"}))
    context = first["context"]
    # The scripted engine's tokens are bytes, so the context can be read.
    seen = bytes(context).decode()
    assert seen.endswith("<|im_start|>assistant\nblue")
    body = prompt_of("and why?", context=context, options={"num_predict": 2})
    second = await answered(server, GENERATE, body)
    again = bytes(second["context"]).decode()
    assert again.startswith(seen)
    assert "and why?" in again.removeprefix(seen)
    *_, last = await lines(server, GENERATE, body)
    assert bytes(last["context"]).decode().startswith(seen)


async def test_a_context_that_is_too_long_is_dropped_and_the_reply_says_so(
    server: Server,
) -> None:
    response, reply = await server.post(GENERATE, prompt_of("hi", context=[65] * 3000))
    assert response.status == 200, reply
    assert response.headers["x-reshore-truncated"] == "context"
    strict = prompt_of("hi", context=[65] * 3000, truncate=False)
    assert "longer than the context length" in await refused(server, GENERATE, strict)


async def test_logprobs_come_with_bytes_and_as_many_rivals_as_asked(server: Server) -> None:
    body = prompt_of({"text": "one two three"}, logprobs=True, top_logprobs=2)
    reply = await answered(server, GENERATE, body)
    assert "".join(token["token"] for token in reply["logprobs"]) == "one two three"
    for token in reply["logprobs"]:
        assert bytes(token["bytes"]).decode() == token["token"]
        assert len(token["top_logprobs"]) == 2
    *pieces, last = await lines(server, GENERATE, body)
    assert [token for line in pieces for token in line["logprobs"]] == reply["logprobs"]
    assert "logprobs" not in last
    assert "logprobs" not in await answered(server, GENERATE, prompt_of("hi", top_logprobs=2))


async def test_num_predict_bounds_the_tokens_and_their_logprobs(server: Server) -> None:
    body = prompt_of({"forever": True}, options={"num_predict": 10}, logprobs=True)
    reply = await answered(server, GENERATE, body)
    assert len(reply["logprobs"]) == 10
    assert reply["done_reason"] == "length"


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"model": ""}, 404, "model '' not found"),
        ({"model": None}, 404, "model '' not found"),
        ({"model": "nobody"}, 404, "model 'nobody' not found"),
        ({"think": True}, 400, f'"{MODEL}" does not support thinking'),
        ({"prompt": ["a"]}, 400, "prompt"),
        ({"top_logprobs": 21}, 400, "top_logprobs must be between 0 and 20"),
        ({"top_logprobs": -1}, 400, "top_logprobs must be between 0 and 20"),
        ({"_debug_render_only": True}, 400, "_debug_render_only"),
    ],
)
async def test_a_wrong_request_is_refused_in_ollamas_words(
    server: Server, change: dict[str, Any], status: int, text: str
) -> None:
    assert text in await refused(server, GENERATE, prompt_of("hi") | change, status)
