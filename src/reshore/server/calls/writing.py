"""A typed reply as an answer: its chunks, written in the client's dialect while they stream by."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from typing import Protocol

from reshore.backends.answer import Answer, HeaderList, Measured
from reshore.server.following import Following
from reshore.types import Chunk, Reply, Target


class Frames(Protocol):
    """Frames that whoever opened them closes."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def __anext__(self) -> Awaitable[bytes]: ...

    async def aclose(self) -> None: ...


class Writer(Protocol):
    """Writes one reply in one dialect. Belongs to the task that reads the frames.

    Attributes:
        headers: of the reply, its content type first; complete when `close` has returned.
        stream: whether anything is written before the end.
    """

    headers: HeaderList
    stream: bool

    def write(self, batch: Sequence[Chunk]) -> bytes:
        """What can be said once `batch` is there; maybe empty."""
        ...

    async def close(self, reply: Reply, violations: str) -> bytes:
        """The rest; of a whole reply, that is everything.

        Args:
            violations: what breaks the schema that was asked for, "" for nothing.

        Raises:
            BadReply: the generation has not finished.
        """
        ...


def written(
    target: Target, writer: Writer, frames: AsyncIterator[bytes], measured: Measured
) -> Answer:
    """An answer whose `frames` the writer has written; whoever opened it closes them."""
    return Answer(
        target=target,
        status=200,
        headers=writer.headers,
        frames=frames,
        stream=writer.stream,
        measured=measured,
    )


def write(
    reply: Reply, chunks: AsyncIterator[Sequence[Chunk]], writer: Writer, following: Following
) -> Frames:
    """The frames of `reply`; they raise what `chunks` raise.

    Args:
        chunks: those of the reply, or what was kept of them.
    """
    new_frames = _write_stream if writer.stream else _Whole
    return new_frames(reply, chunks, writer, following)


async def _write_stream(
    reply: Reply, chunks: AsyncIterator[Sequence[Chunk]], writer: Writer, following: Following
) -> AsyncGenerator[bytes, None]:
    async for batch in chunks:
        following.note(batch)
        if data := writer.write(batch):
            yield data
    yield await writer.close(reply, following.violations())


class _Whole:
    """One frame. No generator, for one costs every request more than this."""

    __slots__ = ("_chunks", "_following", "_reply", "_writer")

    def __init__(
        self,
        reply: Reply,
        chunks: AsyncIterator[Sequence[Chunk]],
        writer: Writer,
        following: Following,
    ) -> None:
        self._reply = reply
        self._chunks: AsyncIterator[Sequence[Chunk]] | None = chunks
        self._writer = writer
        self._following = following

    def __aiter__(self) -> _Whole:
        return self

    async def __anext__(self) -> bytes:
        chunks, self._chunks = self._chunks, None
        if chunks is None:
            raise StopAsyncIteration
        following, writer = self._following, self._writer
        async for batch in chunks:
            following.note(batch)
            writer.write(batch)
        return await writer.close(self._reply, following.violations())

    async def aclose(self) -> None:
        """There is no more."""
        self._chunks = None


def encoded(notices: Mapping[str, str]) -> HeaderList:
    """What the client is told, as headers."""
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in notices.items()]


async def whole(body: bytes) -> AsyncGenerator[bytes, None]:
    """The one frame of an answer that is complete."""
    yield body
