"""Clients that leave before the end: whatever way they go, their slot is free at once."""

from __future__ import annotations

import asyncio

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.compat.running import Server, wait_until
from tests.compat.scripts import scripted_turn

# Two hundred milliseconds is the promise (bench/); here only that it happens without anybody's
# timeout, on a machine that may be busy.
_SOON_S = 5.0
ENDLESS = scripted_turn(forever=True, gap_ms=2)


def idle(server: Server) -> None:
    wait_until(lambda: server.in_flight() == 0, "all slots are free", _SOON_S)


def test_closing_a_stream_frees_the_slot(scripted: OpenAI, scripted_server: Server) -> None:
    stream = scripted.chat.completions.create(model="tiny", messages=ENDLESS, stream=True)
    next(iter(stream))
    wait_until(lambda: scripted_server.in_flight() == 1, "it alone has a slot", _SOON_S)
    stream.close()
    idle(scripted_server)


def test_leaving_the_stream_helper_frees_the_slot(
    scripted: OpenAI, scripted_server: Server
) -> None:
    with scripted.chat.completions.stream(model="tiny", messages=ENDLESS) as stream:
        for event in stream:
            if event.type == "content.delta":
                break
    idle(scripted_server)


@pytest.mark.parametrize("stream", [False, True])
def test_a_timeout_of_the_client_frees_the_slot(
    scripted: OpenAI, scripted_server: Server, stream: bool
) -> None:
    impatient = scripted.with_options(timeout=0.3)
    silent = scripted_turn(forever=True, gap_ms=60_000)

    def ask() -> None:
        reply = impatient.chat.completions.create(model="tiny", messages=silent, stream=stream)
        list(reply)

    with pytest.raises(openai.APITimeoutError):
        ask()
    idle(scripted_server)


async def test_cancelled_tasks_free_their_slots_also_while_they_wait_in_line(
    scripted_async: AsyncOpenAI, scripted_server: Server
) -> None:
    """Four have slots, the other twenty-eight are queued."""
    tasks = [
        asyncio.create_task(scripted_async.chat.completions.create(model="tiny", messages=ENDLESS))
        for _ in range(32)
    ]
    await asyncio.to_thread(
        wait_until, lambda: scripted_server.in_flight() == 32, "all are in", _SOON_S
    )
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.to_thread(idle, scripted_server)
    reply = await scripted_async.chat.completions.create(
        model="tiny", messages=scripted_turn(text="still here")
    )
    assert reply.choices[0].message.content == "still here"
