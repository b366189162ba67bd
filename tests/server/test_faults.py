"""What goes wrong, and what the client is told."""

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.server.harness import Server, chat_body, echo_config, running

PATH = "/v1/chat/completions"


async def engine_pid(server: Server) -> int:
    await server.chat("hi", max_tokens=1)
    (loaded,) = server.app.services.pool.loaded()
    assert loaded.pid is not None
    return loaded.pid


@pytest.mark.parametrize("fault", ["exit", "cut", "garbage", "error"])
async def test_an_engine_that_fails_mid_stream_ends_it_with_an_error_event(
    server: Server, fault: str
) -> None:
    script = {"fault": fault, "fault_after": 2, "tokens": 9, "gap_ms": 5}
    payloads = await server.stream(PATH, chat_body(script))
    assert "[DONE]" not in payloads
    error = json.loads(payloads[-1])["error"]
    assert error["type"] == "server_error"
    assert error["message"]
    assert (await server.chat("hi", max_tokens=1))["choices"]


@pytest.mark.parametrize("fault", ["exit", "cut", "garbage", "error"])
async def test_an_engine_that_fails_before_a_plain_reply_is_a_5xx(
    server: Server, fault: str
) -> None:
    response, reply = await server.post(PATH, chat_body({"fault": fault, "fault_after": 2}))
    assert response.status in (500, 502)
    assert reply["error"]["type"] == "server_error"
    assert (await server.chat("hi", max_tokens=1))["choices"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [PATH, "/v1/completions"])
async def test_a_request_that_the_engine_refuses_is_the_clients_400(
    server: Server, path: str, stream: bool
) -> None:
    body = chat_body({"status": 400}, stream=stream)
    if path != PATH:
        body["prompt"] = body.pop("messages")[0]["content"]
    error = await server.refusal(path, body)
    assert error["type"] == "invalid_request_error"
    assert "scripted status" in error["message"]


async def test_an_engine_that_is_killed_mid_stream_costs_one_error(server: Server) -> None:
    pid = await engine_pid(server)
    async with server.session.post(
        server.url + PATH, json=chat_body({"forever": True, "gap_ms": 1}, stream=True)
    ) as response:
        await response.content.readuntil(b"\n\n")
        os.kill(pid, signal.SIGKILL)
        rest = await response.read()
    assert b"[DONE]" not in rest
    assert b'"error"' in rest.rsplit(b"data: ", 1)[-1]
    await server.chat("hi", max_tokens=1)


async def test_an_engine_that_hangs_is_stopped_and_the_client_told(home: Path) -> None:
    config = echo_config(home, **{"engine.token_timeout_s": 0.3})
    async with running(config) as server:
        response, reply = await server.post(PATH, chat_body({"fault": "hang", "fault_after": 0}))
        assert response.status == 504
        assert reply["error"]["code"] == "engine_stalled"
        await server.chat("hi", max_tokens=1)


async def test_an_engine_that_cannot_start_says_why(home: Path) -> None:
    async with running(echo_config(home, **{"engine.echo.fault": "start"})) as server:
        response, reply = await server.post(PATH, chat_body("hi"))
        assert response.status == 503
        assert reply["error"]["code"] == "engine_start_failed"
        assert int(response.headers["retry-after"]) >= 1


@pytest.mark.parametrize("stream", [True, False])
async def test_clients_that_hang_up_free_their_slots(server: Server, stream: bool) -> None:
    body = chat_body({"forever": True, "gap_ms": 2}, stream=stream)
    await server.chat("warm up", max_tokens=1)

    async def leave() -> None:
        with contextlib.suppress(TimeoutError):
            timeout = aiohttp.ClientTimeout(total=0.2)
            async with server.session.post(server.url + PATH, json=body, timeout=timeout) as reply:
                async for _ in reply.content.iter_any():
                    pass

    await asyncio.gather(*(leave() for _ in range(32)))
    await server.app.services.drain.idle()
    assert not any(loaded.in_flight for loaded in server.app.services.pool.loaded())
    await server.chat("hi", max_tokens=1)
    gone = [outcome for outcome in server.outcomes if outcome.error == "ClientGone"]
    assert len(gone) == 32


async def test_the_queue_is_bounded(home: Path) -> None:
    config = echo_config(home, **{"pool.max_queue": 2, "engine.parallel": 1})
    async with running(config) as server:
        await server.chat("warm up", max_tokens=1)
        body = chat_body({"tokens": 40, "gap_ms": 5})
        replies = await asyncio.gather(*(server.post(PATH, body) for _ in range(8)))
    refused = [(response, reply) for response, reply in replies if response.status == 503]
    assert len(refused) == 5
    for response, reply in refused:
        assert reply["error"]["code"] == "overloaded"
        assert 1 <= int(response.headers["retry-after"]) <= 120


async def test_every_request_has_exactly_one_outcome(server: Server) -> None:
    await server.chat("hi", max_tokens=2)
    await server.stream(PATH, chat_body("hi", max_tokens=2))
    await server.refusal(PATH, b"{")
    await server.refusal(PATH, chat_body("hi") | {"model": "nobody"}, 404)
    statuses = [(outcome.status, outcome.error) for outcome in server.outcomes]
    assert statuses == [(200, None), (200, None), (400, "RequestError"), (404, "UnknownModel")]
    assert server.outcomes[0].usage is not None
    assert server.outcomes[0].usage.completion_tokens == 2
    assert server.outcomes[1].stream


async def test_draining_lets_streams_end_and_refuses_new_requests(server: Server) -> None:
    drain = server.app.services.drain
    await server.chat("warm up", max_tokens=1)
    async with server.session.post(
        server.url + PATH, json=chat_body({"tokens": 30, "gap_ms": 5}, stream=True)
    ) as response:
        await response.content.readuntil(b"\n\n")
        drain.begin()
        refused, reply = await server.post(PATH, chat_body("hi"))
        assert refused.status == 503
        assert reply["error"]["code"] == "server_shutting_down"
        assert refused.headers["connection"] == "close"
        async with server.session.get(server.url + "/readyz") as ready:
            assert ready.status == 503
        async with server.session.get(server.url + "/healthz") as alive:
            assert alive.status == 200
        assert (await response.read()).endswith(b"data: [DONE]\n\n")
    await drain.idle()


async def test_a_stream_that_outlasts_the_drain_gets_an_error_event(server: Server) -> None:
    drain = server.app.services.drain
    body = chat_body({"forever": True, "gap_ms": 5}, stream=True)
    async with server.session.post(server.url + PATH, json=body) as response:
        await response.content.readuntil(b"\n\n")
        drain.begin()
        drain.cut()
        rest = await response.read()
    assert b"server_shutting_down" in rest.rsplit(b"data: ", 1)[-1]
    await drain.idle()
