"""Ollama's endpoints, answered by an upstream."""

import base64
import json
import struct
from pathlib import Path
from typing import Any

import ollama
import pytest

from tests.backends.remote.scripted import Peer, Seen
from tests.server.harness import MODEL
from tests.server.routed import DONE, FINISH, STREAM, USAGE, Routed, answer, decided, delta, routed

HI = [{"role": "user", "content": "Hi"}]


async def lines(it: Routed, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    async with it.server.session.post(it.server.url + path, json=body) as response:
        assert response.status == 200, await response.text()
        assert response.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) for line in (await response.text()).splitlines()]


async def test_a_chat_streams_in_the_clients_dialect(home: Path) -> None:
    async with routed(home) as it:
        found = await lines(it, "/api/chat", {"model": "gpt-4o", "messages": HI})
    *pieces, last = found
    assert "".join(piece["message"]["content"] for piece in pieces) == "from the cloud"
    assert {piece["model"] for piece in found} == {"gpt-4o"}
    assert (last["done"], last["done_reason"]) == (True, "stop")
    assert (last["prompt_eval_count"], last["eval_count"]) == (9, 3)
    assert it.asked[0]["messages"] == HI
    [outcome] = it.server.outcomes
    assert outcome.usage is not None
    assert outcome.usage.completion_tokens == 3
    assert outcome.model == "gpt-4o-2024-08-06"


async def test_a_whole_answer_is_one_object(home: Path) -> None:
    async with routed(home) as it:
        body = {"model": "gpt-4o", "prompt": "Hi", "stream": False}
        response, reply = await it.server.post("/api/generate", body)
    assert reply["response"] == "from the cloud"
    assert "context" not in reply
    assert decided(response.headers)["side"] == "cloud"


async def test_what_the_upstream_has_no_place_for_is_named(home: Path) -> None:
    body = {"model": "gpt-4o", "messages": HI, "stream": False, "options": {"top_k": 3}}
    async with routed(home) as it:
        response, _ = await it.server.post("/api/chat", body)
        assert "top_k" in response.headers["x-reshore-ignored"]
        assert "top_k" not in it.asked[0]


async def test_vectors_come_from_the_upstream(home: Path) -> None:
    async def embed(peer: Peer, seen: Seen) -> None:
        vector = base64.b64encode(struct.pack("<3f", 1, 2, 3)).decode()
        data = [{"index": 0, "embedding": vector}]
        usage = {"prompt_tokens": 2, "total_tokens": 2}
        await peer.reply(json.dumps({"data": data, "model": "e", "usage": usage}).encode())

    async with routed(home, script=embed) as it:
        _, reply = await it.server.post("/api/embed", {"model": "text-embedding-9", "input": "Hi"})
        assert reply["embeddings"] == [[1, 2, 3]]
        _, older = await it.server.post(
            "/api/embeddings", {"model": "text-embedding-9", "prompt": "Hi"}
        )
        assert older["embedding"] == [1, 2, 3]


async def test_an_upstreams_error_is_worded_as_ollamas(home: Path) -> None:
    async def full(peer: Peer, seen: Seen) -> None:
        body = b'{"error":{"message":"quota used up","type":"insufficient_quota","code":"x"}}'
        await peer.reply(body, status=402)

    async with routed(home, script=full) as it:
        response, reply = await it.server.post("/api/chat", {"model": "gpt-4o", "messages": HI})
    assert response.status == 402
    assert reply == {"error": "cloud: quota used up"}


async def test_a_stream_that_breaks_off_ends_with_an_error_line(home: Path) -> None:
    async def cut(peer: Peer, seen: Seen) -> None:
        await peer.start()
        await peer.chunk(STREAM[0] + delta(content="half an"))
        peer.cut()

    async with routed(home, script=cut) as it:
        found = await lines(it, "/api/chat", {"model": "gpt-4o", "messages": HI})
    assert found[0]["message"]["content"] == "half an"
    assert "cloud broke the connection" in found[-1]["error"]


async def test_loading_a_model_that_is_elsewhere_does_nothing(home: Path) -> None:
    async with routed(home) as it:
        _, reply = await it.server.post("/api/generate", {"model": "gpt-4o"})
        assert (reply["done"], reply["done_reason"]) == (True, "load")
        assert it.cloud.seen == []


async def test_loading_an_installed_model_loads_it(home: Path) -> None:
    async with routed(home) as it:
        await it.server.post("/api/generate", {"model": MODEL})
        assert [loaded.name for loaded in it.server.app.services.pool.loaded()] == [MODEL]


async def test_an_unreadable_name_may_be_an_upstreams(home: Path) -> None:
    name = "ft:gpt-4o-mini:my-org::id"
    async with routed(home) as it:
        body = {"model": name, "messages": HI, "stream": False}
        _, reply = await it.server.post("/api/chat", body)
        assert reply["model"] == name
        assert it.asked[0]["model"] == name


async def test_ollamas_own_client_is_answered_from_the_cloud(home: Path) -> None:
    async def tools(peer: Peer, seen: Seen) -> None:
        if "tools" not in json.loads(seen.body):
            await answer(peer, seen)
            return
        call = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"x": 1}'}}
        await peer.stream(delta(role="assistant", tool_calls=[call]), FINISH, USAGE, DONE)

    def f(x: int) -> int:
        """Double it."""
        return 2 * x

    async with (
        routed(home, script=tools) as it,
        ollama.AsyncClient(host=it.server.url) as client,
    ):
        reply = await client.chat("gpt-4o", messages=HI)
        assert reply.message.content == "from the cloud"
        pieces = [
            piece.message.content or ""
            async for piece in await client.chat("gpt-4o", messages=HI, stream=True)
        ]
        assert "".join(pieces) == "from the cloud"
        reply = await client.chat("gpt-4o", messages=HI, tools=[f])
        [made] = reply.message.tool_calls or []
        assert (made.function.name, made.function.arguments) == ("f", {"x": 1})


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/embed"])
async def test_what_can_be_no_name_is_told_where_nothing_else_answers(
    server: Any, path: str
) -> None:
    body = {"model": "no/such/name/at/all", "messages": HI, "prompt": "Hi", "input": "Hi"}
    response, reply = await server.post(path, body)
    assert response.status == 400
    assert reply == {"error": "invalid model name"}
