"""Several generations answered as one: choices renumbered, usage summed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from reshore.types import Chunk, Timings, Usage
from reshore.wire.llamacpp.events import NO_CHOICE

Batches = AsyncGenerator[Sequence[Chunk], None]

# The last batch of a reply, once all others are there.
Closing = Callable[[], Sequence[Chunk]]


def split_choices(n: int, slots: int) -> list[int]:
    """How many choices each engine call generates: as few calls as the slots allow."""
    full, rest = divmod(n, slots)
    return [slots] * full + ([rest] if rest else [])


def add_usage(left: Usage, right: Usage, *, same_prompt: bool) -> Usage:
    """Usage of two generations; a prompt that both share is counted once, as OpenAI counts."""
    return Usage(
        prompt_tokens=left.prompt_tokens + (0 if same_prompt else right.prompt_tokens),
        completion_tokens=left.completion_tokens + right.completion_tokens,
        cached_tokens=left.cached_tokens + (0 if same_prompt else right.cached_tokens),
    )


def slower(left: Timings, right: Timings) -> Timings:
    """Timings of two generations that ran side by side."""
    return Timings(
        load_ms=max(left.load_ms, right.load_ms),
        prefill_ms=max(left.prefill_ms, right.prefill_ms),
        decode_ms=max(left.decode_ms, right.decode_ms),
    )


class Tally:
    """Takes usage and timings out of a stream, and sums them for its end.

    The engine reports usage once per choice, each time with the whole prompt. `prompt` tells
    which prompt a report belongs to; its tokens are counted for the first report alone.
    """

    def __init__(self) -> None:
        self._usage = Usage()
        self._timings = Timings()
        self._prompts: set[int] = set()

    def take(self, chunk: Chunk, prompt: int) -> None:
        if chunk.usage is not None:
            seen = prompt in self._prompts
            self._prompts.add(prompt)
            self._usage = add_usage(self._usage, chunk.usage, same_prompt=seen)
        if chunk.timings is not None:
            self._timings = slower(self._timings, chunk.timings)

    def closing(self, load_ms: float) -> Chunk:
        """The last chunk of the reply."""
        timings = slower(self._timings, Timings(load_ms=load_ms))
        return Chunk(index=NO_CHOICE, usage=self._usage, timings=timings)


async def merge(streams: Sequence[Batches], closing: Closing) -> Batches:
    """Batches of all streams as they come, then `closing`; the first error ends all of them.

    Closing it closes every stream, so that no generation outlives its request.
    """
    # One batch per stream may wait: a slow reader holds every generation back, not just one.
    queue: asyncio.Queue[Sequence[Chunk] | BaseException | None] = asyncio.Queue(len(streams))
    tasks = [asyncio.create_task(_pump(stream, queue)) for stream in streams]
    try:
        running = len(tasks)
        while running:
            item = await queue.get()
            if item is None:
                running -= 1
            elif isinstance(item, BaseException):
                raise item
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    yield closing()


async def _pump(
    stream: Batches, queue: asyncio.Queue[Sequence[Chunk] | BaseException | None]
) -> None:
    try:
        async with aclosing(stream) as batches:
            async for batch in batches:
                await queue.put(batch)
    except Exception as error:
        await queue.put(error)  # raised again by the reader of the merged stream
    else:
        await queue.put(None)
