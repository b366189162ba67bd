"""Talking the native API in tests."""

from __future__ import annotations

import json
from typing import Any

from tests.server.harness import MODEL, Server

CHAT = "/api/chat"
GENERATE = "/api/generate"


def said(content: str | dict[str, Any]) -> str:
    """What a user says; a dict is a directive to the scripted engine."""
    return "/echo " + json.dumps(content) if isinstance(content, dict) else content


def chat_of(content: str | dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The body of a chat with one message, not streamed unless `fields` say so."""
    messages = [{"role": "user", "content": said(content)}]
    return {"model": MODEL, "messages": messages, "stream": False, **fields}


def prompt_of(content: str | dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The same for `/api/generate`."""
    return {"model": MODEL, "prompt": said(content), "stream": False, **fields}


async def answered(server: Server, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The reply to a request that must succeed."""
    response, reply = await server.post(path, body)
    assert response.status == 200, reply
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    return reply


async def refused(server: Server, path: str, body: Any, status: int = 400) -> str:
    """The text of an error, which is all that its body holds."""
    response, reply = await server.post(path, body)
    assert response.status == status, reply
    assert set(reply) == {"error"}
    text: str = reply["error"]
    return text


async def lines(server: Server, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of a streamed reply; streaming is what happens when nobody says otherwise."""
    sent = {key: value for key, value in body.items() if key != "stream"}
    async with server.session.post(server.url + path, json=sent) as response:
        assert response.status == 200, await response.text()
        assert response.headers["content-type"] == "application/x-ndjson"
        text = await response.text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


async def engine_body(server: Server, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body that the engine got for a request whose prompt is `{"reflect": true}`."""
    reply = await answered(server, path, body)
    text = reply["message"]["content"] if path == CHAT else reply["response"]
    found: dict[str, Any] = json.loads(text)
    return found


REFLECT = {"reflect": True}
