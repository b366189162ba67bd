"""An answer that is held back, and what may happen to it meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from reshore.backends.answer import HeaderList
from reshore.errors import Crashed, Overloaded
from reshore.server.calls.held import Held, held
from reshore.testing import settle
from reshore.types import (
    ChatRequest,
    Chunk,
    Message,
    Reply,
    Target,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
)

LOCAL = Target(side="local", backend="local", model="small")
REQUEST = ChatRequest(model="small", messages=(Message(role="user", content="Hi"),))
FINISH = Chunk(finish_reason="stop")
USAGE = Chunk(index=-1, usage=Usage(prompt_tokens=1, completion_tokens=2))


class Plain:
    """Writes the text of each batch. Implements `Writer`."""

    stream = True

    def __init__(self) -> None:
        self.headers: HeaderList = [(b"content-type", b"text/plain")]

    def write(self, batch: Sequence[Chunk]) -> bytes:
        said = "".join(chunk.content + "!" * len(chunk.logprobs) for chunk in batch)
        return said.encode()

    async def close(self, reply: Reply, violations: str) -> bytes:
        return b"."


class Generation:
    """A reply whose chunks come when a test gives them; None is the end."""

    def __init__(self) -> None:
        self.chunks: asyncio.Queue[Chunk | Exception | None] = asyncio.Queue()
        self.open = False

    def give(self, *chunks: Chunk | Exception | None) -> None:
        for chunk in chunks:
            self.chunks.put_nowait(chunk)

    @asynccontextmanager
    async def chat(self) -> AsyncIterator[Reply]:
        self.open = True
        try:
            yield Reply(model="small:latest", chunks=self._batches())
        finally:
            self.open = False

    async def _batches(self) -> AsyncIterator[Sequence[Chunk]]:
        while (chunk := await self.chunks.get()) is not None:
            if isinstance(chunk, Exception):
                raise chunk
            yield (chunk,)


def new_draft(*, show_logprobs: bool = False) -> Held:
    return Held(LOCAL, REQUEST, lambda reply: Plain(), show_logprobs=show_logprobs)


async def read(draft: Held) -> bytes:
    return b"".join([frame async for frame in draft.answer().frames])


async def test_it_tells_what_was_said_so_far() -> None:
    generation = Generation()
    async with held(new_draft(), generation.chat()) as draft:
        generation.give(Chunk(content="half"))
        await settle()
        assert (draft.text, draft.finish_reason) == ("half", None)
        generation.give(Chunk(content=" more"), FINISH, USAGE, None)
        await draft.finish()
        assert (draft.text, draft.finish_reason) == ("half more", "stop")
        assert draft.measured.usage == USAGE.usage
        assert draft.measured.model == "small:latest"
        assert draft.request is REQUEST
        assert await read(draft) == b"half more."


async def test_a_wait_that_is_cancelled_loses_nothing() -> None:
    generation = Generation()
    async with held(new_draft(), generation.chat()) as draft:
        generation.give(Chunk(content="one"))
        waiting = asyncio.create_task(draft.finish())
        await settle()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        generation.give(Chunk(content=" two"), FINISH, None)
        await draft.finish()
        assert await read(draft) == b"one two."


async def test_it_is_given_before_its_end_and_then_as_it_comes() -> None:
    generation = Generation()
    async with held(new_draft(), generation.chat()) as draft:
        generation.give(Chunk(content="one"))
        await settle()
        answer = draft.answer()
        assert answer.measured is draft.measured
        frames = aiter(answer.frames)
        assert await anext(frames) == b"one"
        waiting = asyncio.create_task(anext(frames))
        await settle()
        assert not waiting.done()
        generation.give(Chunk(content=" two"))
        assert await waiting == b" two"
        generation.give(FINISH, None)
        assert [frame async for frame in frames] == [b"."]


@pytest.mark.parametrize(("shown", "wanted"), [(False, b"a."), (True, b"a!.")])
async def test_log_probabilities_are_for_who_asked(shown: bool, wanted: bytes) -> None:
    generation = Generation()
    async with held(new_draft(show_logprobs=shown), generation.chat()) as draft:
        token = TokenLogprob(token="a", logprob=-0.5)
        generation.give(Chunk(content="a", logprobs=(token,)), FINISH, None)
        await draft.finish()
        assert draft.logprobs == (token,)
        assert await read(draft) == wanted


async def test_tool_calls_are_told_when_they_are_complete() -> None:
    generation = Generation()
    async with held(new_draft(), generation.chat()) as draft:
        generation.give(
            Chunk(tool_calls=(ToolCallDelta(index=0, id="a", name="f", arguments='{"x"'),)),
            Chunk(tool_calls=(ToolCallDelta(index=0, arguments=":1}"),)),
        )
        await settle()
        assert draft.tool_calls == ()
        generation.give(Chunk(tool_calls=(ToolCallDelta(index=1, id="b", name="g"),)))
        await settle()
        assert draft.tool_calls == (ToolCall(id="a", name="f", arguments='{"x":1}'),)
        generation.give(Chunk(finish_reason="tool_calls"), None)
        await draft.finish()
        assert [call.id for call in draft.tool_calls] == ["a", "b"]


async def test_what_breaks_it_off_comes_out_of_both() -> None:
    generation = Generation()
    async with held(new_draft(), generation.chat()) as draft:
        generation.give(Chunk(content="half"), Crashed("gone", model="small"))
        with pytest.raises(Crashed):
            await draft.finish()
        frames = aiter(draft.answer().frames)
        assert await anext(frames) == b"half"
        with pytest.raises(Crashed):
            await anext(frames)


async def test_what_cannot_begin_is_raised_when_entering() -> None:
    @asynccontextmanager
    async def full() -> AsyncIterator[Reply]:
        raise Overloaded("full", retry_after_s=1)
        yield

    opening: AbstractAsyncContextManager[Reply] = full()
    with pytest.raises(Overloaded):
        async with held(new_draft(), opening):
            raise AssertionError("it did not begin")


async def test_leaving_ends_the_generation_and_its_task() -> None:
    generation = Generation()
    async with held(new_draft(), generation.chat()) as draft:
        generation.give(Chunk(content="half"))
        await settle()
        frames = aiter(draft.answer().frames)
        assert await anext(frames) == b"half"
        assert generation.open
    assert not generation.open
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cancelling_whoever_holds_it_ends_it() -> None:
    generation = Generation()

    async def hold() -> None:
        async with held(new_draft(), generation.chat()) as draft:
            await draft.finish()

    holding = asyncio.create_task(hold())
    await settle()
    assert generation.open
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    assert not generation.open
    assert asyncio.all_tasks() == {asyncio.current_task()}
