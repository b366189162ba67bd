"""One engine call after another becomes one reply: streams opened, decoded, counted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec

from reshore.backends.fanout import Batches, Closing, Tally
from reshore.engine.base import Engine
from reshore.engine.client import EngineClient
from reshore.errors import EngineError
from reshore.types import Chunk
from reshore.wire.llamacpp.events import NO_CHOICE, EventDecoder, decode_event
from reshore.wire.llamacpp.faults import FaultEvent


@dataclass(frozen=True)
class Call:
    """One request to the engine.

    Attributes:
        first_choice: what the engine numbers 0 is this choice of the reply.
        prompt: which of the request's prompts it continues, for counting.
        marked_end: as in `EngineClient.stream`.
    """

    path: str
    body: dict[str, Any]
    first_choice: int = 0
    prompt: int = 0
    decode: EventDecoder = decode_event
    marked_end: bool = True


async def generate(
    client: EngineClient,
    engine: Engine,
    call: Call,
    *,
    tally: Tally,
    places: asyncio.Semaphore,
    transform: Any = None,
    token_timeout_s: float,
    closing: Closing | None = None,
) -> Batches:
    """Batches of one call's chunks, choices renumbered, usage handed to `tally`; then `closing`.

    `places` bounds how many calls of one request are open at once. Closing the iterator closes
    the connection, and with it the generation.
    """
    async with (
        places,
        client.stream(
            engine,
            call.path,
            call.body,
            token_timeout_s=token_timeout_s,
            marked_end=call.marked_end,
        ) as events,
    ):
        while not events.ended:
            chunks = _decode(engine, call, events.take(await events.more()), tally)
            if transform is not None:
                chunks = [piece for chunk in chunks for piece in transform(chunk)]
            if chunks:
                yield chunks
    if closing is not None:
        yield closing()


def _decode(engine: Engine, call: Call, batch: list[bytes], tally: Tally) -> list[Chunk]:
    chunks: list[Chunk] = []
    for payload in batch:
        try:
            chunk = call.decode(payload)
        except FaultEvent as event:
            raise EngineError(
                f"the engine of {engine.model.name} failed: {event.fault.message}",
                model=engine.model.name,
                log_tail=engine.log_tail,
            ) from event
        except msgspec.MsgspecError as error:
            raise EngineError(
                f"the engine of {engine.model.name} sent what is no event of its protocol; "
                "send the request again",
                model=engine.model.name,
                log_tail=engine.log_tail,
            ) from error
        if chunk is None:
            continue
        if chunk.usage is not None:
            tally.take(chunk, call.prompt)
            if chunk.index == NO_CHOICE:
                continue
            chunk = msgspec.structs.replace(chunk, usage=None, timings=None)
        if call.first_choice:
            chunk = msgspec.structs.replace(chunk, index=chunk.index + call.first_choice)
        chunks.append(chunk)
    return chunks
