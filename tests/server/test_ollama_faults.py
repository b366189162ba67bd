"""What goes wrong, and what a client of the native API is told."""

import asyncio
import contextlib
import json
from pathlib import Path

import aiohttp
import pytest

from tests.server.harness import Server, echo_config, running
from tests.server.ollama import CHAT, GENERATE, answered, chat_of, lines, prompt_of, refused


@pytest.mark.parametrize("fault", ["exit", "cut", "garbage", "error"])
async def test_an_engine_that_fails_mid_stream_ends_it_with_an_error_line(
    server: Server, fault: str
) -> None:
    script = {"fault": fault, "fault_after": 2, "tokens": 9, "gap_ms": 5}
    for path, body in ((CHAT, chat_of(script)), (GENERATE, prompt_of(script))):
        *pieces, last = await lines(server, path, body)
        assert pieces
        assert not any(line["done"] for line in pieces)
        assert set(last) == {"error"}
        assert last["error"]
    await answered(server, CHAT, chat_of("hi"))


@pytest.mark.parametrize("fault", ["exit", "cut", "garbage", "error"])
async def test_before_the_first_byte_it_is_a_500(server: Server, fault: str) -> None:
    assert await refused(server, CHAT, chat_of({"fault": fault, "fault_after": 2}), 500)
    await answered(server, CHAT, chat_of("hi"))


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("status", "expected"), [(400, 400), (500, 500), (503, 500)])
async def test_what_an_engine_refuses_keeps_its_kind_whether_streamed_or_not(
    server: Server, stream: bool, status: int, expected: int
) -> None:
    for path, body in ((CHAT, chat_of), (GENERATE, prompt_of)):
        asked = body({"status": status}, stream=stream)
        assert "tiny" in await refused(server, path, asked, expected)


async def test_an_engine_that_dies_is_told_in_ollamas_words(server: Server) -> None:
    text = await refused(server, CHAT, chat_of({"fault": "exit", "fault_after": 0}), 500)
    assert text.startswith("model runner has unexpectedly stopped")


async def test_a_model_that_cannot_be_loaded_says_why(home: Path) -> None:
    async with running(echo_config(home, **{"engine.echo.fault": "start"})) as server:
        assert "tiny" in await refused(server, CHAT, chat_of("hi"), 500)
        assert "tiny" in await refused(server, GENERATE, {"model": "tiny"}, 500)


async def test_a_full_queue_is_a_503_in_ollamas_words(home: Path) -> None:
    config = echo_config(home, **{"pool.max_queue": 2, "engine.parallel": 1})
    async with running(config) as server:
        await answered(server, CHAT, chat_of("warm up"))
        body = chat_of({"tokens": 40, "gap_ms": 5})
        replies = await asyncio.gather(*(server.post(CHAT, body) for _ in range(8)))
    busy = [(response, reply) for response, reply in replies if response.status == 503]
    assert len(busy) == 5
    for response, reply in busy:
        assert reply == {
            "error": "server busy, please try again.  maximum pending requests exceeded"
        }
        assert 1 <= int(response.headers["retry-after"]) <= 120


@pytest.mark.parametrize("stream", [True, False])
async def test_clients_that_hang_up_free_their_slots(server: Server, stream: bool) -> None:
    body = chat_of({"forever": True, "gap_ms": 2}, stream=stream)
    await answered(server, CHAT, chat_of("warm up"))

    async def leave() -> None:
        with contextlib.suppress(TimeoutError):
            timeout = aiohttp.ClientTimeout(total=0.2)
            async with server.session.post(server.url + CHAT, json=body, timeout=timeout) as reply:
                async for _ in reply.content.iter_any():
                    pass

    await asyncio.gather(*(leave() for _ in range(8)))
    await server.app.services.drain.idle()
    assert not any(loaded.in_flight for loaded in server.app.services.pool.loaded())
    assert [outcome.error for outcome in server.outcomes].count("ClientGone") == 8


async def test_a_stream_that_outlasts_the_drain_gets_an_error_line(server: Server) -> None:
    drain = server.app.services.drain
    body = chat_of({"forever": True, "gap_ms": 5}, stream=True)
    async with server.session.post(server.url + CHAT, json=body) as response:
        await response.content.readuntil(b"\n")
        drain.begin()
        drain.cut()
        rest = await response.read()
    assert "shutting down" in json.loads(rest.splitlines()[-1])["error"]
    await drain.idle()


async def test_a_key_is_asked_for_in_the_same_shape(home: Path) -> None:
    async with running(echo_config(home, api_key="secret")) as server:
        assert "key" in await refused(server, CHAT, chat_of("hi"), 401)
        headers = {"authorization": "Bearer secret"}
        response, _ = await server.post(CHAT, chat_of("hi"), headers=headers)
        assert response.status == 200


async def test_every_request_has_exactly_one_outcome(server: Server) -> None:
    await answered(server, CHAT, chat_of({"text": "a b"}))
    await lines(server, GENERATE, prompt_of({"text": "a b"}))
    await refused(server, CHAT, b"{")
    await refused(server, CHAT, chat_of("hi") | {"model": "nobody"}, 404)
    statuses = [(outcome.status, outcome.error) for outcome in server.outcomes]
    assert statuses == [(200, None), (200, None), (400, "RequestError"), (404, "UnknownModel")]
    for outcome in server.outcomes[:2]:
        assert outcome.usage is not None
        assert outcome.usage.completion_tokens == 2
    assert server.outcomes[1].stream
