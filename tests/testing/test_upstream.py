"""The scripted upstream as clients see it, over a real socket."""

from __future__ import annotations

import asyncio
import base64
import ssl
import struct
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
import trustme
from openai import AsyncOpenAI, RateLimitError

from reshore.engine.echo.script import ScriptedCall
from reshore.testing import FAULTS, Script, ScriptedUpstream

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "one two three"}]}
STREAM = CHAT | {"stream": True}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def chat(session: aiohttp.ClientSession, upstream: ScriptedUpstream, **body: Any) -> Any:
    async with session.post(f"{upstream.url}/chat/completions", json=CHAT | body) as reply:
        return await reply.json()


async def events(
    session: aiohttp.ClientSession,
    upstream: ScriptedUpstream,
    into: list[Any] | None = None,
    path: str = "/chat/completions",
    **body: Any,
) -> list[Any]:
    """The events of a stream, decoded, or else as they are. `into` has those before a failure."""
    found = [] if into is None else into
    async with session.post(upstream.url + path, json=STREAM | body) as reply:
        assert reply.status == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        async for line in reply.content:
            if line.startswith(b"data: "):
                data = line[6:].strip()
                try:
                    found.append(msgspec.json.decode(data))
                except msgspec.DecodeError:
                    found.append(data)
    return found


def text_of(found: list[Any]) -> str:
    deltas = [event["choices"][0]["delta"] for event in found if isinstance(event, dict)]
    return "".join(delta.get("content") or "" for delta in deltas)


async def test_openais_client_is_answered() -> None:
    async with (
        ScriptedUpstream() as upstream,
        AsyncOpenAI(base_url=upstream.url, api_key="sk-x", max_retries=0) as client,
    ):
        whole = await client.chat.completions.create(**CHAT)  # type: ignore[call-overload]
        assert whole.choices[0].message.content == "one two three"
        assert whole.usage.completion_tokens == 3
        stream = await client.chat.completions.create(  # type: ignore[call-overload]
            **CHAT, stream=True, stream_options={"include_usage": True}
        )
        seen = [event async for event in stream]
        words = [event.choices[0].delta.content for event in seen if event.choices]
        assert "".join(word or "" for word in words) == "one two three"
        assert seen[-1].usage.completion_tokens == 3
        assert seen[-2].choices[0].finish_reason == "stop"
        completion = await client.completions.create(model="x", prompt="say it")
        assert completion.choices[0].text == "say it"
        vectors = await client.embeddings.create(model="e", input=["a", "b"])
        assert [len(one.embedding) for one in vectors.data] == [8, 8]
        models = [model.id async for model in client.models.list()]
        assert "gpt-4o-mini" in models


async def test_requests_are_remembered_as_they_came(session: aiohttp.ClientSession) -> None:
    async with ScriptedUpstream() as upstream:
        async with session.post(
            f"{upstream.url}/chat/completions?api-version=1",
            data=msgspec.json.encode(CHAT | {"new": 1}),
            headers=[("Authorization", "Bearer sk-x"), ("X-A", "1"), ("X-A", "2")],
        ) as reply:
            await reply.read()
        [seen] = upstream.requests
        assert (seen.method, seen.path) == ("POST", "/v1/chat/completions")
        assert seen.target == "/v1/chat/completions?api-version=1"
        assert seen.json() == CHAT | {"new": 1}
        assert (seen.headers["authorization"], seen.headers["x-a"]) == ("Bearer sk-x", "1, 2")
        assert seen.ended.is_set()
        assert not seen.left.is_set()


async def test_no_two_answers_have_one_id(session: aiohttp.ClientSession) -> None:
    async with ScriptedUpstream() as upstream:
        whole = [(await chat(session, upstream))["id"] for _ in range(3)]
        first, second = [await events(session, upstream) for _ in range(2)]
        assert len(set(whole)) == 3
        streamed = {event["id"] for event in first if isinstance(event, dict)}
        assert len(streamed) == 1
        assert streamed != {event["id"] for event in second if isinstance(event, dict)}


async def test_scripts_answer_in_their_order_and_the_last_one_stays(
    session: aiohttp.ClientSession,
) -> None:
    scripts = Script(times=2, text="a"), Script(text="b"), Script(text="c")
    async with ScriptedUpstream(*scripts) as upstream:
        async with session.get(f"{upstream.url}/models") as reply:
            assert reply.status == 200
        said = [await chat(session, upstream) for _ in range(5)]
        assert [one["choices"][0]["message"]["content"] for one in said] == list("aabcc")
        upstream.play(Script(text="d"))
        assert text_of(await events(session, upstream)) == "d"


async def test_a_rate_is_kept_and_repeats_with_its_seed(session: aiohttp.ClientSession) -> None:
    async def failures(seed: int) -> list[bool]:
        async with ScriptedUpstream(Script(status=500, rate=0.3), seed=seed) as upstream:
            return ["error" in await chat(session, upstream) for _ in range(100)]

    first = await failures(1)
    assert 15 < sum(first) < 45
    assert await failures(1) == first
    assert await failures(2) != first


async def test_a_request_may_say_how_it_is_answered(session: aiohttp.ClientSession) -> None:
    body = {"messages": [{"role": "user", "content": '/echo {"text": "x", "tokens": 3}'}]}
    async with ScriptedUpstream(Script(status=500)) as upstream:
        assert text_of(await events(session, upstream, **body)) == "xxx"
        assert "error" in await chat(session, upstream)
        wrong = {"messages": [{"role": "user", "content": '/echo {"fault": "fire"}'}]}
        assert "fire" in (await chat(session, upstream, **wrong))["error"]["message"]


async def test_a_script_is_chosen_by_the_request(session: aiohttp.ClientSession) -> None:
    def by_user(request: Any) -> Script | None:
        return Script(status=429) if request.json().get("user") == "a" else None

    async with ScriptedUpstream(Script(text="x"), choose=by_user) as upstream:
        assert "error" in await chat(session, upstream, user="a")
        assert "error" not in await chat(session, upstream, user="b")


async def test_tokens_are_repeated_and_cut(session: aiohttp.ClientSession) -> None:
    async with ScriptedUpstream(Script(text="go on", tokens=5)) as upstream:
        assert text_of(await events(session, upstream)) == "go ongo ongo"
        cut = await events(session, upstream, max_tokens=3)
        assert text_of(cut) == "go ongo"
        assert cut[-2]["choices"][0]["finish_reason"] == "length"
        whole = await chat(session, upstream, max_completion_tokens=1)
        assert whole["choices"][0]["finish_reason"] == "length"
        assert whole["usage"]["completion_tokens"] == 1


async def test_tool_calls_come_whole_and_in_pieces(session: aiohttp.ClientSession) -> None:
    call = ScriptedCall(name="weather", arguments={"city": "Aachen", "days": 3})
    async with ScriptedUpstream(Script(tool_calls=(call,))) as upstream:
        [choice] = (await chat(session, upstream))["choices"]
        assert choice["finish_reason"] == "tool_calls"
        assert choice["message"]["content"] is None
        assert choice["message"]["tool_calls"][0]["function"] == {
            "name": "weather",
            "arguments": '{"city":"Aachen","days":3}',
        }
        found = await events(session, upstream)
        assert found[0]["choices"][0]["delta"]["role"] == "assistant"
        calls = [
            event["choices"][0]["delta"]["tool_calls"][0]["function"]
            for event in found
            if isinstance(event, dict) and "tool_calls" in event["choices"][0]["delta"]
        ]
        assert calls[0] == {"name": "weather", "arguments": ""}
        assert "".join(call["arguments"] for call in calls) == '{"city":"Aachen","days":3}'


async def test_usage_is_reported_when_asked_for_and_has_its_details(
    session: aiohttp.ClientSession,
) -> None:
    script = Script(text="a b", prompt_tokens=9, cached_tokens=4, reasoning_tokens=2)
    async with ScriptedUpstream(script, Script(usage=False)) as upstream:
        found = await events(session, upstream, stream_options={"include_usage": True})
        assert found[0]["usage"] is None
        assert found[-2]["choices"] == []
        usage = found[-2]["usage"]
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (9, 4)
        assert usage["prompt_tokens_details"]["cached_tokens"] == 4
        assert usage["completion_tokens_details"]["reasoning_tokens"] == 2
        silent = await events(session, upstream, stream_options={"include_usage": True})
        assert silent[-2]["choices"][0]["finish_reason"] == "stop"
        assert "usage" not in await chat(session, upstream)


async def test_embeddings_are_the_same_for_the_same_text(session: aiohttp.ClientSession) -> None:
    async def embedded(**body: Any) -> list[Any]:
        async with session.post(f"{upstream.url}/embeddings", json={"model": "e"} | body) as reply:
            return [one["embedding"] for one in (await reply.json())["data"]]

    async with ScriptedUpstream(Script(dimensions=3)) as upstream:
        first, other, again = await embedded(input=["a", "b", "a"])
        assert first == again != other
        assert await embedded(input=[97]) == [first]
        [encoded] = await embedded(input="a", encoding_format="base64")
        assert struct.unpack("<3f", base64.b64decode(encoded)) == pytest.approx(first)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_any_other_endpoint_gives_back_what_it_was_sent(
    session: aiohttp.ClientSession, method: str
) -> None:
    body = bytes(range(256))
    async with ScriptedUpstream() as upstream:
        url = f"{upstream.url}/files/x?a=b"
        headers = {"content-type": "audio/ogg"}
        async with session.request(method, url, data=body, headers=headers) as reply:
            assert (reply.status, await reply.read()) == (200, body)
            assert reply.headers["content-type"] == "audio/ogg"
        async with session.delete(url) as reply:
            assert await reply.json() == {"method": "DELETE", "path": "/v1/files/x?a=b"}


async def test_a_status_has_openais_error_body_and_advice(session: aiohttp.ClientSession) -> None:
    script = Script(
        status=429,
        retry_after_s=2,
        retry_after_ms=1500,
        should_retry=False,
        headers=(("x-ratelimit-remaining-requests", "0"),),
    )
    async with ScriptedUpstream(script) as upstream:
        async with session.post(f"{upstream.url}/chat/completions", json=STREAM) as reply:
            assert reply.status == 429
            assert reply.headers["retry-after"] == "2"
            assert reply.headers["retry-after-ms"] == "1500"
            assert reply.headers["x-should-retry"] == "false"
            assert reply.headers["x-ratelimit-remaining-requests"] == "0"
            assert (await reply.json())["error"]["code"] == "rate_limit_exceeded"
        async with AsyncOpenAI(base_url=upstream.url, api_key="x", max_retries=0) as client:
            with pytest.raises(RateLimitError):
                await client.chat.completions.create(**CHAT)  # type: ignore[call-overload]


async def test_what_is_no_request_is_a_400(session: aiohttp.ClientSession) -> None:
    async with ScriptedUpstream() as upstream:
        for path, body in (("/chat/completions", b"{"), ("/embeddings", b'{"input":{}}')):
            async with session.post(upstream.url + path, data=body) as reply:
                assert reply.status == 400
                assert (await reply.json())["error"]["type"] == "invalid_request_error"


async def test_nobody_listens_while_the_port_is_closed(session: aiohttp.ClientSession) -> None:
    async with ScriptedUpstream() as upstream:
        await chat(session, upstream)
        upstream.close_port()
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await chat(session, upstream)  # over the connection that stood
        with pytest.raises(aiohttp.ClientConnectorError):
            await chat(session, upstream)
        await upstream.open_port()
        assert "error" not in await chat(session, upstream)
        assert upstream.connections == 2


async def test_an_outage_has_its_place_in_a_row_of_scripts(session: aiohttp.ClientSession) -> None:
    scripts = Script(text="before"), Script(fault="refuse", down_s=0.05), Script(text="after")
    async with ScriptedUpstream(*scripts) as upstream:
        before = await chat(session, upstream)
        assert before["choices"][0]["message"]["content"] == "before"
        refused = 0
        async with asyncio.timeout(10):
            while True:
                try:
                    after = await chat(session, upstream)
                    break
                except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError):
                    refused += 1
        assert refused
        assert after["choices"][0]["message"]["content"] == "after"


async def test_an_upstream_may_be_down_from_the_start(session: aiohttp.ClientSession) -> None:
    async with ScriptedUpstream(FAULTS["refuse"]) as upstream:
        with pytest.raises(aiohttp.ClientConnectorError):
            await chat(session, upstream)


async def test_an_outage_may_be_ended_by_hand(session: aiohttp.ClientSession) -> None:
    async with ScriptedUpstream(Script(fault="refuse", down_s=3600)) as upstream:
        upstream.play(Script(text="back"))
        with pytest.raises(aiohttp.ClientConnectorError):
            await chat(session, upstream)
        await upstream.open_port()
        assert text_of(await events(session, upstream)) == "back"


@pytest.mark.parametrize("stream", [True, False])
async def test_silence_lasts_until_it_is_told_to_go_on(
    session: aiohttp.ClientSession, stream: bool
) -> None:
    async with ScriptedUpstream(Script(fault="silent", text="late")) as upstream:
        asking = _text(session, upstream) if stream else chat(session, upstream)
        asked = asyncio.create_task(asking)
        request = await upstream.received()
        done, _ = await asyncio.wait([asked], timeout=0.02)
        assert not done
        request.resume()
        assert "late" in str(await asked)


async def _text(session: aiohttp.ClientSession, upstream: ScriptedUpstream) -> str:
    return text_of(await events(session, upstream))


async def test_a_stall_shows_so_many_tokens_and_goes_on_when_told(
    session: aiohttp.ClientSession,
) -> None:
    script = Script(fault="stall", fault_after=2, text="a b c d")
    async with (
        ScriptedUpstream(script) as upstream,
        session.post(f"{upstream.url}/chat/completions", json=STREAM) as reply,
    ):
        begun = await reply.content.readuntil(b'"content":" b"')
        assert begun.count(b'"content":"') == 3  # the opening, which is empty, and two tokens
        [request] = upstream.requests
        assert not request.ended.is_set()
        request.resume()
        assert (await reply.read()).count(b'"content":"') == 2


async def test_a_client_that_hangs_up_is_noticed(session: aiohttp.ClientSession) -> None:
    async with ScriptedUpstream(Script(forever=True, gap_ms=1)) as upstream:
        async with session.post(f"{upstream.url}/chat/completions", json=STREAM) as reply:
            await reply.content.readany()
            request = upstream.requests[0]
            assert not request.left.is_set()
        await asyncio.wait_for(request.left.wait(), 10)
        assert request.ended.is_set()


@pytest.mark.parametrize("fault", ["cut", "reset"])
async def test_a_stream_breaks_off_in_the_middle_of_an_event(
    session: aiohttp.ClientSession, fault: Any
) -> None:
    async with ScriptedUpstream(Script(fault=fault, fault_after=2, text="a b c")) as upstream:
        seen: list[Any] = []
        with pytest.raises(aiohttp.ClientError):
            await events(session, upstream, into=seen)
        assert text_of([event for event in seen if isinstance(event, dict)]) == "a b"
        with pytest.raises(aiohttp.ClientError):
            await chat(session, upstream)


async def test_a_stream_may_end_without_its_end(session: aiohttp.ClientSession) -> None:
    async with ScriptedUpstream(Script(fault="no-done", fault_after=1, text="a b")) as upstream:
        found = await events(session, upstream)
        assert text_of(found) == "a"
        assert all(isinstance(event, dict) for event in found)
        assert "choices" in await chat(session, upstream)


async def test_an_error_event_ends_a_stream(session: aiohttp.ClientSession) -> None:
    async with ScriptedUpstream(Script(fault="error", fault_after=1, text="a b")) as upstream:
        *before, error = await events(session, upstream)
        assert text_of(before) == "a"
        assert error["error"]["type"] == "server_error"
        assert "error" in await chat(session, upstream)


async def test_an_event_that_is_no_json_comes_in_between(session: aiohttp.ClientSession) -> None:
    async with ScriptedUpstream(Script(fault="malformed", fault_after=1, text="a b")) as upstream:
        found = await events(session, upstream)
        opening, first, broken, second, *_ = found
        assert text_of([opening, first, second]) == "a b"
        assert isinstance(broken, bytes)
        async with session.post(f"{upstream.url}/chat/completions", json=CHAT) as reply:
            with pytest.raises(msgspec.DecodeError):
                msgspec.json.decode(await reply.read())


async def test_garbage_is_no_http(session: aiohttp.ClientSession) -> None:
    async with ScriptedUpstream(FAULTS["garbage"]) as upstream:
        with pytest.raises(aiohttp.ClientError):
            await chat(session, upstream)


async def test_another_content_type_and_a_redirect(session: aiohttp.ClientSession) -> None:
    async with ScriptedUpstream(FAULTS["html"], FAULTS["redirect"]) as upstream:
        url = f"{upstream.url}/chat/completions"
        async with session.post(url, json=CHAT) as reply:
            assert (reply.status, reply.headers["content-type"]) == (200, "text/html")
        async with session.post(url, json=CHAT, allow_redirects=False) as reply:
            assert (reply.status, reply.headers["location"]) == (307, "/v1/elsewhere")


async def test_pauses_are_kept(session: aiohttp.ClientSession) -> None:
    script = Script(headers_ms=10, header_gap_ms=2, ttft_ms=10, gap_ms=10, text="a b c")
    async with ScriptedUpstream(script) as upstream:
        for stream in (True, False):
            began = time.perf_counter()
            await (_text(session, upstream) if stream else chat(session, upstream))
            assert time.perf_counter() - began >= 0.04


async def test_a_burst_is_not_paced_and_comes_whole(session: aiohttp.ClientSession) -> None:
    script = Script(burst=True, gap_ms=10_000, tokens=2000, text="x")
    async with ScriptedUpstream(script) as upstream:
        assert text_of((await events(session, upstream))[:-1]) == "x" * 2000
        assert (await chat(session, upstream))["usage"]["completion_tokens"] == 2000


async def test_many_at_once_get_each_their_own(session: aiohttp.ClientSession) -> None:
    async def one(number: int) -> str:
        said = [{"role": "user", "content": f"number {number}"}]
        return text_of(await events(session, upstream, messages=said))

    async with ScriptedUpstream(Script(gap_ms=1)) as upstream:
        said = await asyncio.gather(*(one(number) for number in range(50)))
    assert said == [f"number {number}" for number in range(50)]


async def test_it_speaks_tls(session: aiohttp.ClientSession) -> None:
    authority = trustme.CA()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    async with (
        ScriptedUpstream(tls=theirs) as upstream,
        session.get(f"{upstream.url}/models", ssl=ours) as reply,
    ):
        assert reply.status == 200


async def test_leaving_breaks_off_what_is_under_way(session: aiohttp.ClientSession) -> None:
    async with ScriptedUpstream(FAULTS["silent"]) as upstream:
        asked = asyncio.create_task(chat(session, upstream))
        await upstream.received()
    with pytest.raises(aiohttp.ClientError):
        await asked
    assert upstream.open_connections == 0
