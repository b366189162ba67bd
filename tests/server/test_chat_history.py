"""How earlier turns of a `/v1` conversation reach the engine."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from reshore.models.create import create
from reshore.models.recipe import Recipe
from reshore.models.store import Store
from tests.backends.image_samples import png
from tests.models.tiny_vision import write_tiny_vision
from tests.server.harness import MODEL, Server, chat_body, install

TOOLED = "tooled:latest"
SEER = "seer:latest"
CALL = {"id": "call_9", "type": "function", "function": {"name": "add", "arguments": '{"b":1}'}}
TOOL = {"type": "function", "function": {"name": "add"}}
REFLECT = {"role": "user", "content": '/echo {"reflect": true}'}
PICTURE = png(2, 1, b"\0" + b"\xff\0\0" * 2)


@pytest.fixture
async def home(tmp_path: Path) -> Path:
    """A model without tools in its template, one with, and one that sees."""
    install(tmp_path, MODEL, context_length=2048)
    install(tmp_path, TOOLED, context_length=2048, chat_template="{{ tools }}")
    folder = tmp_path / "files"
    folder.mkdir()
    write_tiny_vision(folder)
    await create(Store(tmp_path / "models"), SEER, Recipe(paths=tuple(folder.iterdir())))
    return tmp_path


async def engine_messages(
    server: Server, *history: dict[str, Any], model: str = TOOLED
) -> list[dict[str, Any]]:
    """The earlier messages as the engine got them."""
    reply = await server.chat("", model=model, messages=[*history, REFLECT])
    *earlier, _ = json.loads(reply["choices"][0]["message"]["content"])["messages"]
    return list(earlier)


@pytest.mark.parametrize("content", [None, "Let me see.", ""])
async def test_a_call_reaches_the_engine_whatever_was_said_with_it(
    server: Server, content: str | None
) -> None:
    asked = {"role": "user", "content": "1 + 1?"}
    called = {"role": "assistant", "content": content, "tool_calls": [CALL]}
    answer = {"role": "tool", "tool_call_id": "call_9", "content": "2"}
    _, made, _ = await engine_messages(server, asked, called, answer)
    assert made == called


async def test_reasoning_of_an_earlier_turn_comes_back(server: Server) -> None:
    for field in ("reasoning", "reasoning_content"):
        turn = {"role": "assistant", "content": "42", field: "six by seven"}
        (sent,) = await engine_messages(server, turn)
        assert sent == {
            "role": "assistant",
            "content": "42",
            "reasoning_content": "six by seven",
        }


@pytest.mark.parametrize(
    ("named", "told"), [({}, "add"), ({"name": "sum"}, "sum"), ({"name": None}, "add")]
)
async def test_a_result_is_named_as_it_says_or_as_its_call(
    server: Server, named: dict[str, Any], told: str
) -> None:
    called = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    answer = {"role": "tool", "tool_call_id": "call_9", "content": "2", **named}
    _, result = await engine_messages(server, called, answer)
    assert result == {"role": "tool", "tool_call_id": "call_9", "content": "2", "name": told}


async def test_a_result_of_no_known_call_has_no_name(server: Server) -> None:
    (result,) = await engine_messages(
        server, {"role": "tool", "tool_call_id": "call_0", "content": "2"}
    )
    assert "name" not in result


async def test_text_and_pictures_of_one_message_stay_together(server: Server) -> None:
    url = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    (sent,) = await engine_messages(server, {"role": "user", "content": parts}, model=SEER)
    assert sent == {"role": "user", "content": parts}


@pytest.mark.parametrize("model", [MODEL, TOOLED])
async def test_texts_of_one_result_stand_on_lines_of_their_own(server: Server, model: str) -> None:
    called = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    texts = [{"type": "text", "text": text} for text in ("12:00", "UTC")]
    answer = {"role": "tool", "tool_call_id": CALL["id"], "content": texts}
    body = chat_body("", model=model, messages=[called, answer, REFLECT], tools=[TOOL])
    _, reply = await server.post("/v1/chat/completions", body)
    assert "12:00\\nUTC" in reply["choices"][0]["message"]["content"]
