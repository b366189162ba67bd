"""From what an engine streams to what a client is given, choice by choice. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from reshore.backends.thought_stream import ThoughtStream
from reshore.backends.tool_stream import Piece, ToolStream, new_call_id
from reshore.models.thinking import Marks
from reshore.types import Chunk, FinishReason, TokenLogprob, ToolCallDelta

Transform = Callable[[Chunk], Sequence[Chunk]]


class EngineCalls:
    """Tool calls that the engine parsed: each gets an id of ours with its first piece."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()

    def __call__(self, chunk: Chunk) -> Sequence[Chunk]:
        if chunk.tool_calls:
            deltas = tuple(self._named(chunk.index, delta) for delta in chunk.tool_calls)
            return (msgspec.structs.replace(chunk, tool_calls=deltas),)
        if chunk.finish_reason == "stop" and any(index == chunk.index for index, _ in self._seen):
            return (msgspec.structs.replace(chunk, finish_reason="tool_calls"),)
        return (chunk,)

    def _named(self, index: int, delta: ToolCallDelta) -> ToolCallDelta:
        key = (index, delta.index)
        if key in self._seen:
            return msgspec.structs.replace(delta, name=None)
        self._seen.add(key)
        return msgspec.structs.replace(delta, id=new_call_id())


class WrittenCalls:
    """Tool calls that the model writes as text, under a grammar of ours: parsed out again."""

    def __init__(self) -> None:
        self._streams: dict[int, ToolStream] = {}

    def __call__(self, chunk: Chunk) -> Sequence[Chunk]:
        stream = self._streams.get(chunk.index)
        if stream is None:
            stream = self._streams[chunk.index] = ToolStream()
        out = [_as_chunk(chunk.index, piece) for piece in stream.feed(chunk.content)]
        if chunk.reasoning:
            out.insert(0, Chunk(index=chunk.index, reasoning=chunk.reasoning))
        if chunk.finish_reason is not None:
            out += [_as_chunk(chunk.index, piece) for piece in stream.finish()]
            out.append(Chunk(index=chunk.index, finish_reason=_reason(chunk, stream)))
        return _keep_logprobs(out, chunk.logprobs, chunk.index)


class ReadThoughts:
    """Thoughts that the engine has left in the text: taken out of it.

    Args:
        marks, opened: as for `ThoughtStream`.
    """

    def __init__(self, marks: Marks, *, opened: bool) -> None:
        self._marks = marks
        self._opened = opened
        self._streams: dict[int, ThoughtStream] = {}

    def __call__(self, chunk: Chunk) -> Sequence[Chunk]:
        stream = self._streams.get(chunk.index)
        if stream is None:
            stream = ThoughtStream(self._marks, opened=self._opened)
            self._streams[chunk.index] = stream
        if chunk.reasoning:  # an engine that takes them out whatever it is asked
            stream.answer()
        thought, answer = stream.feed(chunk.content)
        if chunk.finish_reason is not None:
            more, rest = stream.finish()
            thought, answer = thought + more, answer + rest
        thought = chunk.reasoning + thought
        if thought and answer:
            first = Chunk(index=chunk.index, reasoning=thought, logprobs=chunk.logprobs)
            return (
                first,
                msgspec.structs.replace(chunk, content=answer, reasoning="", logprobs=()),
            )
        if not (thought or answer or chunk.logprobs or chunk.tool_calls or chunk.finish_reason):
            return ()
        return (msgspec.structs.replace(chunk, content=answer, reasoning=thought),)


def in_turn(first: Transform, second: Transform | None) -> Transform:
    """What comes out of `first`, through `second`."""
    if second is None:
        return first
    return lambda chunk: [piece for part in first(chunk) for piece in second(part)]


def _as_chunk(index: int, piece: Piece) -> Chunk:
    if isinstance(piece, str):
        return Chunk(index=index, content=piece)
    return Chunk(index=index, tool_calls=(piece,))


def _reason(chunk: Chunk, stream: ToolStream) -> FinishReason | None:
    """`length` says more than `tool_calls`: the last call's arguments may be cut."""
    if chunk.finish_reason == "stop" and stream.called:
        return "tool_calls"
    return chunk.finish_reason


def _keep_logprobs(
    chunks: list[Chunk], logprobs: tuple[TokenLogprob, ...], index: int
) -> list[Chunk]:
    """Log-probabilities belong to tokens, and a token's text may be held back: never lose one."""
    if not logprobs:
        return chunks
    if not chunks:
        return [Chunk(index=index, logprobs=logprobs)]
    return [msgspec.structs.replace(chunks[0], logprobs=logprobs), *chunks[1:]]


def without_rivals(chunk: Chunk) -> Sequence[Chunk]:
    """Drops the alternatives that the engine always sends (`top_logprobs: 0`)."""
    if not chunk.logprobs:
        return (chunk,)
    bare = tuple(msgspec.structs.replace(token, top=()) for token in chunk.logprobs)
    return (msgspec.structs.replace(chunk, logprobs=bare),)
