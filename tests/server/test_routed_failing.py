"""Upstreams that fail: what the client is told, and who answers instead."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.backends.remote.scripted import Peer, Script, Seen
from tests.server.harness import MODEL, chat_body
from tests.server.routed import (
    CHAT,
    DONE,
    FINISH,
    KEY,
    REPLY,
    STREAM,
    Routed,
    ask,
    decided,
    delta,
    routed,
)

NO_RETRIES = "[routing]\nretries = 0\n"


def route(policy: str, **more: Any) -> str:
    fields = "".join(f", {key} = {json.dumps(value)}" for key, value in more.items())
    return f'{NO_RETRIES}[routes]\n"gpt-4o" = {{ policy = "{policy}", local = "{MODEL}"{fields} }}'


def failing(status: int, body: bytes, **headers: str) -> Script:
    async def fail(peer: Peer, seen: Seen) -> None:
        await peer.reply(body, status=status, **headers)

    return fail


async def cut(peer: Peer, seen: Seen) -> None:
    """A stream that breaks off in the middle of a sentence."""
    await peer.start()
    await peer.chunk(b"".join(STREAM[:2]))
    await peer.chunk(delta(content="half of a"))
    peer.cut()


async def events(it: Routed, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Of a stream, without `[DONE]`; an error event is the last one."""
    payloads = await it.server.stream(CHAT, body)
    return [json.loads(payload) for payload in payloads if payload != "[DONE]"]


def said(found: list[dict[str, Any]]) -> str:
    choices = [event["choices"][0] for event in found if event.get("choices")]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


async def test_an_upstreams_error_passes_as_it_came(home: Path) -> None:
    body = b'{"error": {"message":"no such tool", "type":"invalid_request_error", "x":1.50}}'
    async with (
        routed(home, NO_RETRIES, failing(422, body)) as it,
        it.server.session.post(it.server.url + CHAT, json=ask()) as response,
    ):
        assert response.status == 422
        assert await response.read() == body
        assert decided(response.headers)["side"] == "cloud"
        assert "x-should-retry" not in response.headers
    [outcome] = it.server.outcomes
    assert (outcome.error, outcome.status) == ("UpstreamStatus", 422)
    [attempt] = outcome.attempts
    assert (attempt.status, attempt.answered) == (422, False)


async def test_when_to_come_back_is_passed_on(home: Path) -> None:
    body = b'{"error":{"message":"slow down","type":"rate_limit_error","param":null,"code":null}}'
    headers = {"retry_after": "7", "x_should_retry": "false"}
    async with routed(home, NO_RETRIES, failing(429, body, **headers)) as it:
        response, _ = await it.server.post(CHAT, ask())
        assert response.status == 429
        assert response.headers["retry-after"] == "7"
        assert response.headers["x-should-retry"] == "false"


async def test_an_error_that_is_no_json_gets_our_words(home: Path) -> None:
    html = b"<html>Bad gateway</html>"
    async with routed(home, NO_RETRIES, failing(502, html, content_type="text/html")) as it:
        response, reply = await it.server.post(CHAT, ask())
        assert response.status == 502
        assert response.headers["content-type"] == "application/json"
        assert reply["error"]["type"] == "server_error"
        assert reply["error"]["message"].startswith("cloud: ")


@pytest.mark.parametrize("status", [401, 403])
async def test_our_key_is_never_shown(home: Path, status: int) -> None:
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}).encode()
    async with routed(home, NO_RETRIES, failing(status, body)) as it:
        error = await it.server.refusal(CHAT, ask(), status=502)
        assert error["code"] == "upstream_rejected_key"
        assert "API key that is configured for it" in error["message"]
        assert KEY not in error["message"]


async def test_a_stream_that_breaks_off_ends_with_one_error(home: Path) -> None:
    async with routed(home, NO_RETRIES, cut) as it:
        payloads = await it.server.stream(CHAT, ask())
        assert payloads[-1] != "[DONE]"
        error = json.loads(payloads[-1])["error"]
        assert error["message"] == "cloud broke the connection in the middle of its answer"
        assert [p for p in payloads if "error" in p] == payloads[-1:]
    [outcome] = it.server.outcomes
    assert (outcome.status, outcome.error) == (200, "Disconnected")


async def test_an_error_amid_a_stream_passes_as_it_came(home: Path) -> None:
    event = b'{"error":{"message":"too much","type":"server_error","param":null,"code":"x"}}'

    async def fail(peer: Peer, seen: Seen) -> None:
        await peer.stream(STREAM[0], b"data: " + event + b"\n\n")

    async with routed(home, NO_RETRIES, fail) as it:
        payloads = await it.server.stream(CHAT, ask())
        assert payloads[-1].encode() == event


async def test_another_side_answers_instead(home: Path) -> None:
    async with routed(home, route("fallback(cloud, local)"), failing(500, b"")) as it:
        response, reply = await it.server.post(CHAT, chat_body({"text": "here"}, model="gpt-4o"))
        assert reply["choices"][0]["message"]["content"] == "here"
        assert decided(response.headers)["side"] == "local"
        assert decided(response.headers)["backend"] == "local"
    [outcome] = it.server.outcomes
    assert outcome.model == MODEL
    roles = [(attempt.role, attempt.answered, attempt.error) for attempt in outcome.attempts]
    assert roles == [("primary", False, "UpstreamStatus"), ("fallback", True, None)]


async def test_what_cannot_be_honoured_here_goes_to_the_cloud(home: Path) -> None:
    """`fallback(local, cloud)`, and a field that no local model can honour."""
    fields = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    async with routed(home, route("fallback(local, cloud)")) as it:
        async with it.server.session.post(it.server.url + CHAT, json=ask(**fields)) as response:
            assert await response.read() == REPLY
        assert it.asked[0]["audio"] == fields["audio"]


async def test_a_local_stream_goes_on_where_the_clouds_broke_off(home: Path) -> None:
    async with routed(home, route("fallback(cloud, local, resume=yes)"), cut) as it:
        body = ask(stream=True, stream_options={"include_usage": True})
        body["messages"][0]["content"] = '/echo {"text": " loaf"}'
        payloads = await it.server.stream(CHAT, body)
        assert payloads[-1] == "[DONE]"
        found = [json.loads(payload) for payload in payloads[:-1]]
    assert not [event for event in found if "error" in event]
    assert said(found).startswith("from half of a")
    assert len(said(found)) > len("from half of a")
    for field in ("id", "created", "model"):
        assert len({event[field] for event in found}) == 1
    roles = [event["choices"][0]["delta"].get("role") for event in found if event["choices"]]
    assert [role for role in roles if role] == ["assistant"]
    finishes = [event["choices"][0]["finish_reason"] for event in found if event["choices"]]
    assert [finish for finish in finishes if finish] == ["stop"]
    assert found[-1]["usage"] is not None
    [outcome] = it.server.outcomes
    assert [attempt.role for attempt in outcome.attempts] == ["primary", "resume"]
    assert outcome.error is None


async def test_the_cloud_goes_on_where_a_local_stream_broke_off(home: Path) -> None:
    async with routed(home, route("fallback(local, cloud, resume=yes)")) as it:
        body = chat_body(
            {"text": "one two three", "fault": "cut", "fault_after": 1}, model="gpt-4o", stream=True
        )
        found = await events(it, body)
        [asked] = it.asked
    assert asked["messages"][-1]["role"] == "assistant"
    assert said(found) == asked["messages"][-1]["content"] + "from the cloud"
    assert len({event["id"] for event in found}) == 1
    assert {event["model"] for event in found} == {MODEL}


async def test_a_completion_goes_on_behind_its_text(home: Path) -> None:
    async def half(peer: Peer, seen: Seen) -> None:
        await peer.start()
        head = '{"id":"cmpl-1","object":"text_completion","created":7,"model":"g","choices":'
        await peer.chunk(f'data: {head}[{{"text":"half","index":0}}]}}\n\n'.encode())
        peer.cut()

    async with routed(home, route("fallback(cloud, local, resume=yes)"), half) as it:
        body = {"model": "gpt-4o", "prompt": "Once", "max_tokens": 5}
        payloads = await it.server.stream("/v1/completions", body)
    assert payloads[-1] == "[DONE]"
    found = [json.loads(payload) for payload in payloads[:-1]]
    assert "".join(event["choices"][0]["text"] for event in found).startswith("half")
    assert {event["id"] for event in found} == {"cmpl-1"}


async def test_amid_tool_calls_nobody_goes_on(home: Path) -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"x":'}}

    async def half(peer: Peer, seen: Seen) -> None:
        await peer.start()
        await peer.chunk(delta(role="assistant", tool_calls=[call]))
        peer.cut()

    async with routed(home, route("fallback(cloud, local, resume=yes)"), half) as it:
        found = await events(it, ask())
    assert "error" in found[-1]


async def test_a_late_side_is_overtaken_and_left(home: Path) -> None:
    async def never(peer: Peer, seen: Seen) -> None:
        await peer.watch()

    async with routed(home, route("hedge(cloud, local, after=10ms)"), never) as it:
        response, _ = await it.server.post(CHAT, chat_body({"text": "here"}, model="gpt-4o"))
        assert decided(response.headers)["side"] == "local"
        await asyncio.wait_for(it.cloud.idle(), 5)
    [outcome] = it.server.outcomes
    found = [(attempt.role, attempt.error) for attempt in outcome.attempts]
    assert found == [("primary", "Cancelled"), ("hedge", None)]


async def test_the_sdk_raises_what_the_upstream_said(home: Path) -> None:
    error = {"message": "too long", "type": "invalid_request_error", "param": "messages"}
    body = json.dumps({"error": error | {"code": "context_length_exceeded"}}).encode()
    async with (
        routed(home, NO_RETRIES, failing(400, body)) as it,
        AsyncOpenAI(base_url=f"{it.server.url}/v1", api_key="none") as client,
    ):
        with pytest.raises(Exception, match="too long") as raised:
            await client.chat.completions.create(model="gpt-4o", messages=ask()["messages"])
        assert getattr(raised.value, "code", None) == "context_length_exceeded"


async def test_a_retry_that_works_is_not_noticed(home: Path) -> None:
    async def second(peer: Peer, seen: Seen) -> None:
        if len(it.cloud.seen) == 1:
            await peer.reply(b"{}", status=503, retry_after_ms="1")
        else:
            await peer.stream(*STREAM, FINISH, DONE)

    async with routed(home, "[routing]\nretry_base_s = 0.001", second) as it:
        assert said(await events(it, ask())) == "from the cloud"
    [outcome] = it.server.outcomes
    assert [(a.role, a.status) for a in outcome.attempts] == [("primary", 503), ("retry", 200)]


async def test_a_drain_lets_a_cloud_stream_end(home: Path) -> None:
    more = asyncio.Event()

    async def slowly(peer: Peer, seen: Seen) -> None:
        await peer.start()
        await peer.chunk(STREAM[0])
        await more.wait()
        await peer.chunk(b"".join((*STREAM[1:], FINISH, DONE)))
        await peer.end()

    async with routed(home, script=slowly) as it:
        drain = it.server.app.services.drain
        async with it.server.session.post(it.server.url + CHAT, json=ask(stream=True)) as response:
            await response.content.readany()
            drain.begin()
            assert drain.in_flight == 1
            more.set()
            assert (await response.read()).endswith(DONE)
        await drain.idle()


async def test_a_cut_drain_ends_a_cloud_stream_with_an_error(home: Path) -> None:
    async def endless(peer: Peer, seen: Seen) -> None:
        await peer.start()
        await peer.chunk(STREAM[0])
        await peer.watch()

    async with routed(home, script=endless) as it:
        drain = it.server.app.services.drain
        async with it.server.session.post(it.server.url + CHAT, json=ask(stream=True)) as response:
            await response.content.readany()
            drain.cut()
            assert b"shutting down" in await response.read()
        await asyncio.wait_for(it.cloud.idle(), 5)
