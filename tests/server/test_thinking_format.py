"""Answers that must obey a format, from models that think: the thought first, then the answer.

The real engine is given templates of the three kinds there are, each with examples in it, so that
a small model thinks as it is shown.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from reshore.config import load
from tests.server.harness import Server, running
from tests.server.ollama import CHAT, GENERATE, answered, chat_of, lines, prompt_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CHATTER = "smollm2:135m"
OPENAI = "/v1/chat/completions"
CITIES = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid"}
SCHEMA = {
    "type": "object",
    "properties": {"capital": {"type": "string", "maxLength": 20}},
    "required": ["capital"],
    "additionalProperties": False,
}

CHANNEL, FINAL = "<|channel|>analysis<|message|>", "<|channel|>final<|message|>"


def examples(opening: str, closing: str) -> str:
    return "".join(
        f"<|im_start|>user\nWhat is the capital of {country}?<|im_end|>\n<|im_start|>assistant\n"
        f"{opening}The capital of {country} is {city}.{closing}"
        f'{{"capital": "{city}"}}<|im_end|>\n'
        for country, city in CITIES.items()
    )


PLAIN = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {{- message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
"""
TURNS = PLAIN.replace(
    "{{- message.content",
    "{%- if message.reasoning_content %}"
    "{{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}"
    "{%- endif %}{{- message.content",
)
OFF = "{%- if enable_thinking is defined and enable_thinking is false %}"
NONE = "{{- '<think>\\n\\n</think>\\n\\n' }}"
START, OPEN, END = "{{- '<|im_start|>assistant\\n' }}", "{{- '<think>\\n' }}", "{%- endif %}"
TEMPLATES = {
    "writes": TURNS + START + OFF + NONE + END + END,  # the model writes the tag, as Qwen3
    "opened": TURNS + START + OFF + NONE + "{%- else %}" + OPEN + END + END,
    "always": TURNS + START + OPEN + END,  # whatever it is told, as Qwen3-Thinking
    # An answer has a channel of its own, as at gpt-oss; nothing opens a thought or forbids it.
    "channels": PLAIN + START + END,
    # The thoughts of earlier turns are not shown: the engine's own parser does not find the tags.
    "hidden": PLAIN + START + OPEN + END,
}


@pytest.fixture(params=list(TEMPLATES))
async def server(
    starter_home: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Server]:
    template = tmp_path / "thinking.jinja"
    shown = examples("<think>\n", "\n</think>\n\n")
    if request.param == "channels":
        shown = examples(CHANNEL, "<|end|><|start|>assistant" + FINAL)
    template.write_text(shown + TEMPLATES[request.param])
    settings = f"[models.'{CHATTER}']\nchat_template = '{template}'\n"
    (tmp_path / "reshore.toml").write_text(settings)
    flags = {"read_models": [str(starter_home / "models")], "engine.context_length": 512}
    async with running(load(env={"RESHORE_HOME": str(tmp_path)}, flags=flags)) as server:
        yield server


def capital(content: str) -> str:
    found = json.loads(content)
    assert set(found) == {"capital"}
    assert content.startswith("{")
    name: str = found["capital"]
    return name


@pytest.mark.parametrize("path", [CHAT, GENERATE])
@pytest.mark.parametrize("think", [None, True, "high"])
async def test_it_thinks_and_then_obeys(server: Server, path: str, think: Any) -> None:
    body = native(path, think=think)
    whole = await answered(server, path, body)
    message = whole["message"] if path == CHAT else whole
    answer = message["content"] if path == CHAT else message["response"]
    assert capital(answer)
    assert len(message["thinking"]) > 5
    assert not any(tag in message["thinking"] for tag in ("think>", "<|"))
    assert message["thinking"] == message["thinking"].strip()
    *pieces, last = await lines(server, path, body)
    said = [line["message"] if path == CHAT else line for line in pieces]
    key = "content" if path == CHAT else "response"
    assert "".join(piece[key] for piece in said) == answer
    assert "".join(piece.get("thinking", "") for piece in said) == message["thinking"]
    assert len(said) > 8  # as it is generated
    assert last["prompt_eval_count"] == whole["prompt_eval_count"]
    assert last["eval_count"] == whole["eval_count"] > 10


@pytest.mark.parametrize("path", [CHAT, GENERATE])
async def test_told_not_to_think_it_answers_at_once(server: Server, path: str) -> None:
    whole = await answered(server, path, native(path, think=False))
    message = whole["message"] if path == CHAT else whole
    assert "thinking" not in message
    assert capital(message["content"] if path == CHAT else message["response"])
    assert whole["eval_count"] < 25


@pytest.mark.parametrize("effort", [None, "low", "none"])
async def test_openais_dialect_does_the_same(server: Server, effort: str | None) -> None:
    json_schema = {"name": "capital", "schema": SCHEMA, "strict": True}
    body: dict[str, Any] = {
        "model": CHATTER,
        "messages": [{"role": "user", "content": "What is the capital of Spain?"}],
        "response_format": {"type": "json_schema", "json_schema": json_schema},
        "reasoning_effort": effort,
        "temperature": 0,
        "max_tokens": 200,
    }
    response, reply = await server.post(OPENAI, body)
    assert response.status == 200, reply
    (choice,) = reply["choices"]
    message = choice["message"]
    assert capital(message["content"])
    assert choice["finish_reason"] == "stop"
    assert bool(message.get("reasoning_content")) is (effort != "none")
    chunks = await server.stream(OPENAI, body | {"stream_options": {"include_usage": True}})
    events = [json.loads(chunk) for chunk in chunks[:-1]]
    deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == message["content"]
    thought = "".join(delta.get("reasoning_content") or "" for delta in deltas)
    assert thought == message.get("reasoning_content", "")
    assert events[-1]["usage"]["completion_tokens"] == reply["usage"]["completion_tokens"]
    assert events[-1]["usage"]["prompt_tokens"] == reply["usage"]["prompt_tokens"]


async def test_a_thought_without_end_leaves_no_answer(server: Server) -> None:
    options = {"temperature": 0, "num_predict": 4}
    reply = await answered(server, CHAT, native(CHAT, think=True, options=options))
    assert reply["done_reason"] == "length"
    assert reply["message"]["content"] == ""
    assert "<" not in reply["message"].get("thinking", "")


async def test_log_probabilities_are_those_of_all_that_was_generated(server: Server) -> None:
    reply = await answered(server, CHAT, native(CHAT, think=True, logprobs=True))
    spelled = b"".join(bytes(token["bytes"]) for token in reply["logprobs"]).decode()
    assert reply["message"]["content"] in spelled
    assert reply["message"]["thinking"] in spelled
    *pieces, _ = await lines(server, CHAT, native(CHAT, think=True, logprobs=True))
    tokens = [token for line in pieces for token in line.get("logprobs", [])]
    assert len(tokens) == len(reply["logprobs"])


async def test_a_call_that_must_be_made_is_thought_about(server: Server) -> None:
    function = {"name": "capital", "parameters": SCHEMA, "strict": True}
    body = {
        "model": CHATTER,
        "messages": [{"role": "user", "content": "What is the capital of Spain?"}],
        "tools": [{"type": "function", "function": function}],
        "tool_choice": "required",
        "temperature": 0,
        "max_tokens": 200,
    }
    for effort in ("low", "none"):
        _, reply = await server.post(OPENAI, body | {"reasoning_effort": effort})
        (choice,) = reply["choices"]
        message = choice["message"]
        assert bool(message.get("reasoning_content")) is (effort != "none")
        if effort == "low" and choice["finish_reason"] == "length":
            continue  # a small model does not always find the end of a thought
        assert choice["finish_reason"] == "tool_calls"
        (call,) = message["tool_calls"]
        assert capital(call["function"]["arguments"])


@pytest.mark.parametrize("wanted", [SCHEMA, None])
async def test_what_goes_on_from_a_context_is_read_the_same(server: Server, wanted: Any) -> None:
    first = await answered(server, GENERATE, native(GENERATE, think=True))
    body = native(GENERATE, think=True, format=wanted, context=first["context"])
    again = await answered(server, GENERATE, body)
    assert "think>" not in again["response"]
    if wanted:
        assert capital(again["response"])
        assert again["thinking"]


def native(path: str, **fields: Any) -> dict[str, Any]:
    question = "What is the capital of Spain?"
    body = chat_of(question) if path == CHAT else prompt_of(question)
    options = {"temperature": 0, "num_predict": 200}
    return body | {"model": CHATTER, "format": SCHEMA, "options": options} | fields
