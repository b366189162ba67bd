"""Several generations answered as one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.backends.fanout import Tally, merge, split_choices
from reshore.types import Chunk, Timings, Usage
from reshore.wire.llamacpp.events import NO_CHOICE


@given(st.integers(1, 200), st.integers(1, 16))
def test_choices_are_split_into_as_few_calls_as_the_slots_allow(n: int, slots: int) -> None:
    sizes = split_choices(n, slots)
    assert sum(sizes) == n
    assert all(1 <= size <= slots for size in sizes)
    assert len(sizes) == -(-n // slots)


def report(prompt: int, completion: int, cached: int = 0) -> Chunk:
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached)
    return Chunk(index=NO_CHOICE, usage=usage, timings=Timings(prefill_ms=prompt, decode_ms=2))


def test_a_prompt_that_choices_share_is_counted_once() -> None:
    tally = Tally()
    tally.take(report(10, 3, 4), prompt=0)
    tally.take(report(10, 5, 9), prompt=0)
    tally.take(report(7, 1), prompt=1)
    closing = tally.closing(load_ms=50)
    assert closing.usage == Usage(prompt_tokens=17, completion_tokens=9, cached_tokens=4)
    assert closing.timings == Timings(load_ms=50, prefill_ms=10, decode_ms=2)


THE_END = [Chunk(index=NO_CHOICE)]


def the_end() -> Sequence[Chunk]:
    return THE_END


class Source:
    """A stream that is fed by the test and knows whether it was closed."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Sequence[Chunk] | Exception | None] = asyncio.Queue()
        self.closed = False

    async def stream(self) -> AsyncIterator[Sequence[Chunk]]:
        try:
            while (item := await self.queue.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed = True


async def test_batches_come_as_they_arrive_from_any_stream() -> None:
    a, b = Source(), Source()
    async with aclosing(merge([a.stream(), b.stream()], the_end)) as merged:
        b.queue.put_nowait([Chunk(content="b")])
        assert [chunk.content for chunk in await anext(merged)] == ["b"]
        a.queue.put_nowait([Chunk(content="a")])
        assert [chunk.content for chunk in await anext(merged)] == ["a"]
        a.queue.put_nowait(None)
        b.queue.put_nowait(None)
        assert [batch async for batch in merged] == [THE_END]


async def test_the_first_error_ends_every_stream() -> None:
    a, b = Source(), Source()
    a.queue.put_nowait([Chunk(content="a")])
    merged = merge([a.stream(), b.stream()], the_end)
    await anext(merged)
    b.queue.put_nowait(RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        await anext(merged)
    assert a.closed
    assert b.closed


@pytest.mark.parametrize("count", [1, 3])
async def test_closing_it_closes_every_stream(count: int) -> None:
    sources = [Source() for _ in range(count)]
    merged = merge([source.stream() for source in sources], the_end)
    sources[0].queue.put_nowait([Chunk(content="x")])
    await anext(merged)
    await merged.aclose()
    assert all(source.closed for source in sources)


async def test_cancelling_the_reader_closes_every_stream() -> None:
    sources = [Source(), Source()]
    started = asyncio.Event()

    async def read() -> None:
        async with aclosing(merge([source.stream() for source in sources], the_end)) as merged:
            async for _ in merged:
                started.set()

    sources[1].queue.put_nowait([Chunk(content="x")])
    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(source.closed for source in sources)
