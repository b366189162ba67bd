"""Requests and replies pass as the very bytes that they are, and every failure has a class."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from reshore.backends.answer import Answer
from reshore.backends.remote import Remote
from reshore.errors import (
    BackendError,
    BackendTimeout,
    BadReply,
    Disconnected,
    Unreachable,
    UpstreamStatus,
)
from reshore.testing import settle
from reshore.types import Target, Usage
from tests.backends.remote.conftest import Connect
from tests.backends.remote.scripted import EVENT_STREAM, Peer, Seen, head, upstream

TARGET = Target(side="cloud", backend="cloud", model="gpt-4o-mini")
CHAT = "/v1/chat/completions"
BODY = b'{ "model":"gpt-4o-mini","strange\\u00e9":1.0e0 , "stream":true}'

FIRST = (
    b'data: {"model":"gpt-4o-mini-2024","choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n'
)
WORD = b'data: {"choices":[{"index":0,"delta":{"content":"H\\u00e9","new":[]}}],"usage":null}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
COUNTS = (
    b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,'
    b'"prompt_tokens_details":{"cached_tokens":4},'
    b'"completion_tokens_details":{"reasoning_tokens":1}}}\n\n'
)
DONE = b"data: [DONE]\n\n"
FIVE_TWO = Usage(prompt_tokens=5, completion_tokens=2, cached_tokens=4, reasoning_tokens=1)


async def read(
    remote: Remote,
    *,
    stream: bool = True,
    headers: Sequence[tuple[bytes, bytes]] = (),
    into: list[bytes] | None = None,
    **given: Any,
) -> tuple[Answer, list[bytes]]:
    """An answer and all its frames; `into` has those before a failure."""
    frames = [] if into is None else into
    async with remote.open_raw(TARGET, CHAT, BODY, list(headers), stream=stream, **given) as answer:
        async for frame in answer.frames:
            frames.append(frame)
    return answer, frames


def sends(*pieces: bytes) -> Callable[[Peer, Seen], Awaitable[None]]:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.stream(*pieces)

    return script


async def test_a_stream_passes_byte_for_byte(connect: Connect) -> None:
    pieces = (b": wait\n\n", FIRST, WORD * 3, STOP, COUNTS, DONE)
    async with upstream(sends(*pieces)) as served:
        answer, frames = await read(connect(served.url))
    assert b"".join(frames) == b"".join(pieces)
    assert answer.stream
    assert answer.status == 200
    assert (b"content-type", EVENT_STREAM.encode()) in answer.headers
    assert answer.measured.model == "gpt-4o-mini-2024"
    assert answer.measured.finish_reason == "stop"
    assert answer.measured.usage == FIVE_TWO
    assert served.seen[0].body == BODY
    assert served.seen[0].path == "/v1/chat/completions"


async def test_token_counts_that_the_client_did_not_ask_for_are_withheld(connect: Connect) -> None:
    async with upstream(sends(FIRST, STOP + COUNTS, DONE)) as served:
        answer, frames = await read(connect(served.url), hide_usage=True)
    assert b"".join(frames) == FIRST + STOP + DONE
    assert answer.measured.usage == FIVE_TWO


async def test_counts_that_come_with_a_choice_stay(connect: Connect) -> None:
    """OpenRouter and DeepSeek write them into the last event of a choice."""
    both = (
        b'data: {"choices":[{"index":0,"finish_reason":"length"}],"usage":{"prompt_tokens":1}}\n\n'
    )
    async with upstream(sends(FIRST, both, DONE)) as served:
        answer, frames = await read(connect(served.url), hide_usage=True)
    assert b"".join(frames) == FIRST + both + DONE
    assert answer.measured.usage == Usage(prompt_tokens=1)
    assert answer.measured.finish_reason == "length"


async def test_an_event_cut_in_two_is_given_when_it_is_whole(connect: Connect) -> None:
    rest = asyncio.Event()

    async def script(peer: Peer, seen: Seen) -> None:
        await peer.start()
        await peer.chunk(FIRST + WORD[:20])
        await rest.wait()
        await peer.chunk(WORD[20:] + DONE)
        await peer.end()

    async with (
        upstream(script) as served,
        connect(served.url).open_raw(TARGET, CHAT, BODY, [], stream=True) as answer,
    ):
        assert await anext(answer.frames) == FIRST
        rest.set()
        assert [frame async for frame in answer.frames] == [WORD + DONE]


async def test_a_whole_reply_passes_byte_for_byte(connect: Connect) -> None:
    body = (
        b'{ "id":"x","model":"m","choices":[{"index":0,"message":{"content":"h\\u00e9"},'
        b'"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,'
        b'"prompt_tokens_details":{"cached_tokens":4},'
        b'"completion_tokens_details":{"reasoning_tokens":1}} , "new": 1.50}'
    )

    async def script(peer: Peer, seen: Seen) -> None:
        await peer.reply(body, x_request_id="up-1", set_cookie="a=b", openai_organization="ours")

    async with upstream(script) as served:
        answer, frames = await read(connect(served.url), stream=False, keep_text=True)
    assert frames == [body]
    assert not answer.stream
    assert answer.measured.usage == FIVE_TWO
    assert answer.measured.text == ["hé"]
    assert answer.headers == [
        (b"content-type", b"application/json"),
        (b"x-upstream-request-id", b"up-1"),
    ]


async def test_a_whole_reply_to_a_request_for_a_stream_passes(connect: Connect) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.reply(b'{"choices":[]}')

    async with upstream(script) as served:
        answer, frames = await read(connect(served.url), stream=True)
    assert (answer.stream, frames) == (False, [b'{"choices":[]}'])


async def test_our_key_goes_out_and_nothing_of_the_clients(connect: Connect) -> None:
    given = [
        (b"authorization", b"Bearer sk-client"),
        (b"cookie", b"session=1"),
        (b"openai-organization", b"org-client"),
        (b"x-reshore-route", b"cloud"),
        (b"x-forwarded-for", b"10.0.0.1"),
        (b"accept-encoding", b"gzip"),
        (b"user-agent", b"OpenAI/Python"),
        (b"openai-beta", b"assistants=v2"),
        (b"idempotency-key", b"once"),
        (b"traceparent", b"00-1-2-01"),
        (b"via", b"1.1 nginx"),
    ]
    async with upstream(sends(FIRST, DONE)) as served:
        await read(connect(served.url), headers=given, request_id="req_1")
    sent = served.seen[0].headers
    sent.pop("host")
    assert sent.pop("user-agent").startswith("reshore/")
    assert sent.pop("content-length") == str(len(BODY))
    assert sent.pop("accept") == "*/*"
    assert sent == {
        "authorization": "Bearer sk-one",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "openai-beta": "assistants=v2",
        "traceparent": "00-1-2-01",
        "x-client-request-id": "req_1",
        "via": "1.1 nginx, 1.1 reshore-abc123",
    }


async def test_azure_gets_its_key_in_a_header_of_its_own(connect: Connect) -> None:
    async with upstream(sends(FIRST, DONE)) as served:
        await read(connect(served.url.removesuffix("/v1"), kind="azure"))
    assert served.seen[0].path == "/openai/v1/chat/completions"
    assert served.seen[0].headers["api-key"] == "sk-one"
    assert "authorization" not in served.seen[0].headers


async def test_leaving_is_seen_by_the_upstream(connect: Connect) -> None:
    gone: list[asyncio.Event] = []

    async def script(peer: Peer, seen: Seen) -> None:
        gone.append(peer.gone)
        await peer.start()
        await peer.chunk(FIRST)
        await peer.watch()

    async with upstream(script) as served:
        async with connect(served.url).open_raw(TARGET, CHAT, BODY, [], stream=True) as answer:
            assert await anext(answer.frames) == FIRST
            assert not gone[0].is_set()
        await settle()
        assert gone[0].is_set()


@pytest.mark.parametrize("stream", [True, False])
async def test_cancelling_a_wait_is_seen_by_the_upstream(connect: Connect, stream: bool) -> None:
    arrived, gone = asyncio.Event(), []

    async def script(peer: Peer, seen: Seen) -> None:
        gone.append(peer.gone)
        arrived.set()
        await peer.watch()

    async with upstream(script) as served:
        waiting = asyncio.create_task(read(connect(served.url), stream=stream))
        await arrived.wait()
        waiting.cancel()
        await settle()
        assert waiting.cancelled()
        assert gone[0].is_set()


async def test_a_connection_is_used_again(connect: Connect) -> None:
    async with upstream(sends(FIRST, DONE)) as served:
        remote = connect(served.url)
        for _ in range(3):
            await read(remote)
    assert served.connections == 1


async def test_a_connection_that_ended_while_idle_is_no_failure(connect: Connect) -> None:
    """The upstream closes on receiving the second request, as if its end had crossed it."""

    async def script(peer: Peer, seen: Seen) -> None:
        if len(served.seen) == 2:
            return peer.cut()
        await peer.stream(FIRST, DONE)
        return None

    async with upstream(script) as served:
        remote = connect(served.url)
        await read(remote)
        answer, _ = await read(remote)
    assert answer.status == 200
    assert (len(served.seen), served.connections) == (3, 2)


async def test_a_new_connection_that_is_cut_is_not_asked_twice(connect: Connect) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        peer.cut()

    async with upstream(script) as served:
        with pytest.raises(Disconnected) as caught:
            await read(connect(served.url))
    assert caught.value.retryable
    assert len(served.seen) == 1


async def stay_silent(peer: Peer, seen: Seen) -> None:
    await peer.watch()


async def send_slow_headers(peer: Peer, seen: Seen) -> None:
    await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: te")
    await peer.watch()


async def send_only_comments(peer: Peer, seen: Seen) -> None:
    await peer.start()
    await peer.chunk(b": wait\n\n")
    await peer.watch()


@pytest.mark.parametrize("script", [stay_silent, send_slow_headers, send_only_comments])
async def test_a_first_token_that_does_not_come_is_a_timeout(
    connect: Connect, script: Callable[[Peer, Seen], Awaitable[None]]
) -> None:
    async with upstream(script) as served:
        with pytest.raises(BackendTimeout, match=r"cloud gave no first token within 0.05 s"):
            await read(connect(served.url, first_token_timeout_s=0.05))


async def test_a_whole_answer_has_the_total_time(connect: Connect) -> None:
    async with upstream(stay_silent) as served:
        with pytest.raises(BackendTimeout, match=r"did not answer within 0.05 s"):
            await read(connect(served.url, total_timeout_s=0.05), stream=False)


@pytest.mark.parametrize(
    ("limit", "says"), [("token_timeout_s", "gave no token"), ("total_timeout_s", "was not done")]
)
async def test_a_stream_that_stops_is_a_timeout(connect: Connect, limit: str, says: str) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.start()
        await peer.chunk(FIRST)
        await peer.watch()

    frames: list[bytes] = []
    async with upstream(script) as served:
        with pytest.raises(BackendTimeout, match=says):
            await read(connect(served.url, **{limit: 0.05}), into=frames)
    assert frames == [FIRST]


async def test_a_connection_that_is_refused(connect: Connect) -> None:
    async with upstream(stay_silent) as served:
        url = served.url
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:\d+.*: Connection refused") as caught:
        await read(connect(url))
    assert caught.value.retryable


async def cut_after_half_an_event(peer: Peer, seen: Seen) -> None:
    await peer.start()
    await peer.chunk(FIRST + WORD[:20])
    await peer.chunk(WORD[20:-1])
    peer.writer.write_eof()


async def end_without_done(peer: Peer, seen: Seen) -> None:
    await peer.stream(FIRST, WORD[:20])


async def send_no_event_later(peer: Peer, seen: Seen) -> None:
    await peer.stream(FIRST, b"<html>oops</html>\n\n", DONE)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (cut_after_half_an_event, Disconnected),
        (end_without_done, BadReply),
        (send_no_event_later, BadReply),
    ],
)
async def test_a_stream_that_breaks_off_has_shown_whole_events_only(
    connect: Connect, script: Callable[[Peer, Seen], Awaitable[None]], kind: type[BackendError]
) -> None:
    frames: list[bytes] = []
    async with upstream(script) as served:
        with pytest.raises(kind):
            await read(connect(served.url), into=frames)
    assert frames == [FIRST]


ERROR = b'data: {"error":{"message":"too hot for sk-one","type":"server_error","code":503}}\n\n'


async def test_an_error_event_before_anything_else_is_an_error_like_any_other(
    connect: Connect,
) -> None:
    async with upstream(sends(ERROR)) as served:
        with pytest.raises(UpstreamStatus, match=r"cloud: too hot for \[key\]") as caught:
            await read(connect(served.url))
    assert (caught.value.status, caught.value.retryable) == (503, True)


async def test_an_error_event_later_ends_the_stream_after_what_came_before(
    connect: Connect,
) -> None:
    frames: list[bytes] = []
    async with upstream(sends(FIRST, WORD + ERROR, DONE)) as served:
        with pytest.raises(UpstreamStatus) as caught:
            await read(connect(served.url), into=frames)
    assert b"".join(frames) == FIRST + WORD
    assert json.loads(caught.value.body)["error"]["type"] == "server_error"


def answers(status: int, body: bytes, **headers: str) -> Callable[[Peer, Seen], Awaitable[None]]:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.reply(body, status=status, **headers)

    return script


@pytest.mark.parametrize(
    ("status", "headers", "retryable", "wait_s"),
    [
        (400, {}, False, None),
        (404, {}, False, None),
        (408, {}, True, None),
        (409, {}, True, None),
        (429, {"retry_after": "7"}, True, 7.0),
        (429, {"retry_after_ms": "1500", "retry_after": "7"}, True, 1.5),
        (429, {"retry_after": "1e308"}, True, 86_400.0),
        (429, {"retry_after_ms": "1e308"}, True, 86_400.0),
        (429, {"retry_after": "Fri, 31 Dec 9999 23:59:59 GMT"}, True, 86_400.0),
        (429, {"x_should_retry": "false"}, False, None),
        (503, {"retry_after": "Tue, 14 Nov 2023 22:13:50 GMT"}, True, 30.0),
        (503, {"retry_after": "soon"}, True, None),
        (400, {"x_should_retry": "true"}, True, None),
    ],
)
async def test_a_status_keeps_what_it_says(
    connect: Connect, status: int, headers: dict[str, str], retryable: bool, wait_s: float | None
) -> None:
    body = b'{"error":{"message":"no","type":"t","param":null,"code":"c"}}'
    async with upstream(answers(status, body, **headers)) as served:
        with pytest.raises(UpstreamStatus, match="cloud: no") as caught:
            await read(connect(served.url))
    error = caught.value
    assert (error.status, error.code, error.body) == (status, "c", body)
    assert (error.retryable, error.retry_after_s) == (retryable, wait_s)


async def test_a_redirect_is_not_followed(connect: Connect) -> None:
    async with (
        upstream(answers(200, b"{}")) as elsewhere,
        upstream(answers(307, b"", location=elsewhere.url)) as served,
    ):
        with pytest.raises(BadReply, match="answered 307"):
            await read(connect(served.url))
    assert elsewhere.seen == []


async def send_html(peer: Peer, seen: Seen) -> None:
    await peer.reply(b"<html>", kind="text/html")


async def send_broken_json(peer: Peer, seen: Seen) -> None:
    await peer.reply(b'{"choices":[')


async def send_events_without_data(peer: Peer, seen: Seen) -> None:
    await peer.stream(b"hello\n\n")


async def send_events_without_json(peer: Peer, seen: Seen) -> None:
    await peer.stream(b"data: hello\n\n")


async def send_comments_without_end(peer: Peer, seen: Seen) -> None:
    await peer.start()
    with suppress(OSError):
        for _ in range(100):
            await peer.chunk(b": wait\n\n" * 2**13)


async def send_no_event(peer: Peer, seen: Seen) -> None:
    await peer.stream()


async def send_garbage(peer: Peer, seen: Seen) -> None:
    await peer.send(b"\x00\x01 what is this\r\n\r\n")
    peer.cut()


@pytest.mark.parametrize(
    "script",
    [
        send_html,
        send_broken_json,
        send_events_without_data,
        send_events_without_json,
        send_comments_without_end,
        send_no_event,
        send_garbage,
    ],
)
async def test_what_is_no_answer_is_a_bad_reply(
    connect: Connect, script: Callable[[Peer, Seen], Awaitable[None]]
) -> None:
    async with upstream(script) as served:
        with pytest.raises(BadReply):
            await read(connect(served.url))


async def test_an_error_inside_a_success_is_an_error(connect: Connect) -> None:
    """OpenRouter's way when the provider behind it fails."""
    body = b'{"error":{"message":"provider down","code":502}}'
    async with upstream(answers(200, body)) as served:
        with pytest.raises(UpstreamStatus, match="provider down") as caught:
            await read(connect(served.url), stream=False)
    assert caught.value.status == 502


async def test_head_without_length_is_read_to_its_end(connect: Connect) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.send(head(200, "application/json", {"connection": "close"}) + b'{"choices":')
        await peer.send(b"[]}")
        peer.writer.write_eof()

    async with upstream(script) as served:
        _, frames = await read(connect(served.url), stream=False)
    assert frames == [b'{"choices":[]}']


async def test_an_answer_is_complete_before_its_body_ends(connect: Connect) -> None:
    """A client that hangs up after `[DONE]`, as OpenAI's SDK does, has not left early."""
    may_end = asyncio.Event()

    async def script(peer: Peer, seen: Seen) -> None:
        await peer.start()
        await peer.chunk(FIRST)
        await peer.chunk(DONE)
        await may_end.wait()

    async with upstream(script) as served:
        async with asyncio.timeout(0.4):  # less than an unfinished body is waited for
            _, frames = await read(connect(served.url))
        assert frames[-1].endswith(DONE)
        may_end.set()


async def test_a_connection_whose_body_ends_a_little_later_is_used_again(connect: Connect) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.start()
        await peer.chunk(FIRST)
        await peer.chunk(DONE)
        await settle()
        await peer.end()
        ended.set()

    ended = asyncio.Event()
    async with upstream(script) as served:
        remote = connect(served.url)
        for _ in range(2):
            _, frames = await read(remote)
            assert b"".join(frames) == FIRST + DONE
            await ended.wait()
            ended.clear()
            await settle()
    assert served.connections == 1


async def test_a_body_that_is_cut_after_its_end_was_said_is_no_failure(connect: Connect) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.start()
        await peer.chunk(FIRST + DONE)
        await settle()
        peer.cut()

    async with upstream(script) as served:
        _, frames = await read(connect(served.url))
    assert frames == [FIRST + DONE]


async def test_a_reply_that_announces_too_much_is_not_read(connect: Connect) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.send(head(200, "application/json", {"content-length": str(2**40)}))
        await peer.watch()

    async with upstream(script) as served:
        with pytest.raises(BadReply, match="more than"):
            await read(connect(served.url), stream=False)


async def test_a_large_body_is_sent_whole(connect: Connect) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.reply(b"{}")

    body = b'{"x":"%b"}' % (b"y" * 2**21)
    async with (
        upstream(script) as served,
        connect(served.url).open_raw(TARGET, CHAT, body, [], stream=False) as answer,
    ):
        assert answer.status == 200
    assert served.seen[0].body == body
    assert served.seen[0].headers["content-length"] == str(len(body))


@pytest.mark.parametrize("end", [b"data: [DONE]\n", b"data:[DONE]"])
async def test_an_end_without_a_blank_line_is_an_end(connect: Connect, end: bytes) -> None:
    async with upstream(sends(FIRST, end)) as served:
        _, frames = await read(connect(served.url))
    assert b"".join(frames) == FIRST + end
