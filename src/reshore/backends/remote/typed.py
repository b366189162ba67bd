"""Typed requests answered by an upstream: clients of other dialects, and streams gone on with."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import msgspec

from reshore.backends.answer import Answer, ignoring
from reshore.backends.remote.peer import Peer
from reshore.backends.remote.raw import RawRequest, open_raw
from reshore.types import Chunk, Embeddings, Reply, Target
from reshore.wire.openai.reply import ReplyDecoder
from reshore.wire.openai.request import Written
from reshore.wire.openai.vectors import read_embeddings
from reshore.wire.sse import SseDecoder

_DONE = b"[DONE]"


@asynccontextmanager
async def open_reply(
    peer: Peer, path: str, model: str, written: Written, *, key: int = 0, request_id: str = ""
) -> AsyncIterator[Reply]:
    """A generation under way. Raises and closes as `open_raw` does.

    Args:
        model: its name at the upstream.
    """
    request = RawRequest(
        target=Target(side="cloud", backend=peer.name, model=model),
        path=path,
        body=msgspec.json.encode(written.body),
        headers=[],
        stream=True,
        key=key,
        request_id=request_id,
    )
    async with open_raw(peer, request) as answer, aclosing(_chunks(answer)) as chunks:
        yield Reply(
            model=answer.measured.model or model,
            chunks=chunks,
            notices=notices(written),
            system_fingerprint=f"fp_{peer.name}",
        )


async def embed(
    peer: Peer, model: str, written: Written, *, inputs: int, key: int = 0, request_id: str = ""
) -> Embeddings:
    """Vectors, one per input. Raises as `open_raw` does."""
    request = RawRequest(
        target=Target(side="cloud", backend=peer.name, model=model),
        path="/v1/embeddings",
        body=msgspec.json.encode(written.body),
        headers=[],
        stream=False,
        key=key,
        request_id=request_id,
    )
    async with open_raw(peer, request) as answer:
        body = b"".join([frame async for frame in answer.frames])
    embeddings = read_embeddings(body, inputs=inputs, model=model, backend=peer.name)
    return msgspec.structs.replace(embeddings, notices=notices(written))


def notices(written: Written) -> dict[str, str]:
    """What the client is told in headers."""
    return ignoring(written.left_out)


async def _chunks(answer: Answer) -> AsyncGenerator[Sequence[Chunk], None]:
    decoder = ReplyDecoder(answer.target.backend)
    events = SseDecoder(answer.target.backend)
    async for frame in answer.frames:
        batch: list[Chunk] = []
        for payload in events.feed(frame) if answer.stream else (frame,):
            if payload != _DONE:
                batch += decoder.event(payload)
        if batch:
            yield batch
    if last := decoder.end():
        yield last
