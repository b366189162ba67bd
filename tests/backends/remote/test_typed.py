"""Clients of other dialects are answered by an upstream."""

from __future__ import annotations

import asyncio
import base64
import json
from array import array

import pytest

from reshore.errors import BackendError, BadReply, Unreachable, UpstreamStatus
from reshore.types import (
    ChatRequest,
    Chunk,
    CompletionRequest,
    EmbedRequest,
    Message,
    Options,
    Reply,
    Sampling,
    Usage,
)
from tests.backends.remote.conftest import Connect
from tests.backends.remote.scripted import Peer, Script, Seen, upstream

HELLO = ChatRequest(
    model="small",
    messages=(Message(role="user", content="Hello"),),
    sampling=Sampling(top_k=5, max_tokens=7),
    options=Options(num_ctx=512),
)

FIRST = b'data: {"model":"big-2024","choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n'
WORD = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
COUNTS = b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"

HI = [
    Chunk(content="Hi"),
    Chunk(finish_reason="stop"),
    Chunk(index=-1, usage=Usage(prompt_tokens=5, completion_tokens=2)),
]


def streams(*pieces: bytes) -> Script:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.stream(*pieces)

    return script


def replies(body: bytes) -> Script:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.reply(body)

    return script


async def gather(reply: Reply) -> list[Chunk]:
    return [chunk async for batch in reply.chunks for chunk in batch]


@pytest.mark.parametrize("end", [DONE, b"data: [DONE]"])
async def test_a_chat_is_answered_in_chunks(connect: Connect, end: bytes) -> None:
    async with upstream(streams(FIRST, WORD, STOP + COUNTS, end)) as served:
        remote = connect(served.url, models={"small": "big"})
        async with remote.chat(HELLO, request_id="req_1") as reply:
            assert await gather(reply) == HI
    assert reply.model == "big-2024"
    assert reply.notices == {"x-reshore-ignored": "num_ctx, top_k"}
    assert served.seen[0].path == "/v1/chat/completions"
    assert served.seen[0].headers["x-client-request-id"] == "req_1"
    assert json.loads(served.seen[0].body) == {
        "model": "big",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": "Hello"}],
        "max_completion_tokens": 7,
    }


async def test_an_upstream_that_cannot_stream_answers_at_once(connect: Connect) -> None:
    body = (
        b'{"model":"big","choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":5,"completion_tokens":2}}'
    )
    async with upstream(replies(body)) as served, connect(served.url).chat(HELLO) as reply:
        chunks = await gather(reply)
    assert chunks == [Chunk(content="Hi", finish_reason="stop"), HI[-1]]


async def test_a_completion_is_answered_in_chunks(connect: Connect) -> None:
    pieces = (
        b'data: {"choices":[{"index":0,"text":"H"}]}\n\n',
        b'data: {"choices":[{"index":0,"text":"i","finish_reason":"length"}]}\n\n',
        DONE,
    )
    async with upstream(streams(*pieces)) as served:
        request = CompletionRequest(model="m", prompts=("Say",))
        async with connect(served.url, usage=False).complete(request) as reply:
            chunks = await gather(reply)
    assert chunks == [Chunk(content="H"), Chunk(content="i", finish_reason="length")]
    assert json.loads(served.seen[0].body) == {"model": "m", "stream": True, "prompt": "Say"}


async def cut_mid_stream(peer: Peer, seen: Seen) -> None:
    await peer.start()
    await peer.chunk(FIRST + WORD)
    peer.writer.write_eof()


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (cut_mid_stream, Unreachable),
        (streams(FIRST, WORD, DONE), BadReply),
        (streams(FIRST, b'data: {"choices":[{"index":"x"}]}\n\n', STOP, DONE), BadReply),
        (streams(FIRST, b'data: {"error":{"message":"oh"}}\n\n'), UpstreamStatus),
    ],
)
async def test_what_breaks_off_is_an_error(
    connect: Connect, script: Script, kind: type[BackendError]
) -> None:
    async with upstream(script) as served, connect(served.url).chat(HELLO) as reply:
        with pytest.raises(kind):
            await gather(reply)


async def test_leaving_a_chat_is_seen_by_the_upstream(connect: Connect) -> None:
    gone: list[asyncio.Event] = []

    async def script(peer: Peer, seen: Seen) -> None:
        gone.append(peer.gone)
        await peer.start()
        await peer.chunk(FIRST + WORD)
        await peer.watch()

    async with upstream(script) as served:
        async with connect(served.url).chat(HELLO) as reply:
            assert await anext(reply.chunks) == HI[:1]
        await asyncio.wait_for(gone[0].wait(), 5)


def vectors(*rows: tuple[int, object]) -> bytes:
    data = [{"index": index, "embedding": embedding} for index, embedding in rows]
    return json.dumps({"data": data, "model": "e", "usage": {"prompt_tokens": 3}}).encode()


ONE, TWO = array("f", [1, 0]).tobytes(), array("f", [0, 0.5]).tobytes()


@pytest.mark.parametrize(
    "body",
    [
        vectors((1, base64.b64encode(TWO).decode()), (0, base64.b64encode(ONE).decode())),
        vectors((1, [0, 0.5]), (0, [1, 0.0])),
    ],
)
async def test_inputs_are_embedded_as_bytes_or_numbers(connect: Connect, body: bytes) -> None:
    async with upstream(replies(body)) as served:
        request = EmbedRequest(model="m", inputs=("a", "b"), dimensions=2, prompt_name="query")
        embeddings = await connect(served.url).embed(request)
    assert embeddings.vectors == (ONE, TWO)
    assert (embeddings.model, embeddings.prompt_tokens) == ("e", 3)
    assert embeddings.notices == {"x-reshore-ignored": "prompt_name"}
    assert json.loads(served.seen[0].body) == {
        "model": "m",
        "input": ["a", "b"],
        "encoding_format": "base64",
        "dimensions": 2,
    }


@pytest.mark.parametrize(
    "body",
    [
        vectors((0, [1.0])),
        vectors((0, [1.0]), (1, [1.0, 2.0])),
        vectors((0, "AAA="), (1, "AAA=")),
        vectors((0, "§"), (1, "§")),
        b'{"data":{}}',
        b'{"choices":[]}',
    ],
)
async def test_vectors_that_do_not_fit_are_a_bad_reply(connect: Connect, body: bytes) -> None:
    async with upstream(replies(body)) as served:
        with pytest.raises(BadReply):
            await connect(served.url).embed(EmbedRequest(model="m", inputs=("a", "b")))
