"""From an answer to the client's connection."""

from __future__ import annotations

from collections.abc import Awaitable

from reshore.backends.answer import Answer
from reshore.server.exchange import Exchange

HeaderTuple = tuple[tuple[bytes, bytes], ...]

_EVENTS = b"text/event-stream"
STREAM_HEADERS: HeaderTuple = (
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would otherwise collect the stream before sending it
)


def relay(exchange: Exchange, answer: Answer) -> Awaitable[None]:
    """Send it as it comes; a whole reply when it is complete, so that it can still fail.

    Raises what the frames raise, when awaited.
    """
    # No coroutine of its own: each that waits for a stream is passed through on every chunk.
    exchange.answered_by(answer)
    if answer.stream:
        return _send(exchange, answer, STREAM_HEADERS)
    return _send_whole(exchange, answer)


def relay_unread(exchange: Exchange, answer: Answer) -> Awaitable[None]:
    """Send a reply of whatever kind, as it comes. Of one that breaks off nothing is said unless it
    is a stream of events: the connection is closed."""
    exchange.answered_by(answer)
    events = any(name == b"content-type" and _EVENTS in value for name, value in answer.headers)
    exchange.speaks = events
    return _send(exchange, answer, STREAM_HEADERS[1:] if events else ())


async def _send(exchange: Exchange, answer: Answer, more: HeaderTuple) -> None:
    await exchange.start_stream(answer.status, [*answer.headers, *more])
    async for frame in answer.frames:
        await exchange.send(frame)
    await exchange.end_stream()


async def _send_whole(exchange: Exchange, answer: Answer) -> None:
    body = b"".join([frame async for frame in answer.frames])
    await exchange.reply(answer.status, body, answer.headers)
