"""What a scripted upstream does for one request, move by move. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from itertools import cycle

from reshore.engine.echo.http import LAST_CHUNK, chunk
from reshore.testing.replies import FAILURE, GARBAGE, MALFORMED, Reply, error_body
from reshore.testing.script import Script


class Act(Enum):
    """HOLD waits until it is told to go on; CUT and RESET end the connection; END goes on to the
    next request."""

    HOLD = 1
    CUT = 2
    RESET = 3
    END = 4


Move = bytes | float | Act  # to send; seconds to pause; what else to do


def moves(script: Script, reply: Reply) -> Iterator[Move]:
    """All that happens, in order. What follows an act that ends the request is never asked for."""
    if script.headers_ms:
        yield script.headers_ms / 1000
    match script.fault:
        case "silent":
            yield Act.HOLD
        case "refuse":
            yield Act.RESET
        case "garbage":
            yield GARBAGE
            yield Act.CUT
    if reply.stream:
        yield from _head(script, reply.head)
        yield from _stream(script, reply)
    else:
        yield from _whole(script, reply)
    yield Act.END


def _head(script: Script, head: bytes) -> Iterator[Move]:
    if not script.header_gap_ms:
        yield head
        return
    for line in head.splitlines(keepends=True):
        yield line
        yield script.header_gap_ms / 1000


def _stream(script: Script, reply: Reply) -> Iterator[Move]:
    if script.ttft_ms:
        yield script.ttft_ms / 1000
    if script.burst and not script.fault and not script.forever:
        yield b"".join(reply.tokens) + reply.closing
        return
    gap_s = 0.0 if script.burst else script.gap_ms / 1000
    fault_at = min(script.fault_after, len(reply.tokens)) if script.fault else -1
    for sent, event in enumerate(_events(script, reply)):
        if sent == fault_at:
            yield from _fail(script, event)
        if sent and gap_s:
            yield gap_s
        yield event
    if len(reply.tokens) == fault_at:
        yield from _fail(script, reply.closing)
    yield reply.closing


def _events(script: Script, reply: Reply) -> Iterator[bytes]:
    return iter(cycle(reply.tokens) if script.forever else reply.tokens)


def _fail(script: Script, event: bytes) -> Iterator[Move]:
    """The fault of a stream, in front of `event`. Returns if the stream goes on after it."""
    match script.fault:
        case "stall":
            yield Act.HOLD
        case "cut":
            yield event[: len(event) // 2]
            yield Act.CUT
        case "reset":
            yield event[: len(event) // 2]
            yield Act.RESET
        case "no-done":
            yield LAST_CHUNK
            yield Act.END
        case "error":
            yield chunk(b"data: " + error_body(500, message=FAILURE) + b"\n\n")
            yield LAST_CHUNK
            yield Act.END
        case "malformed":
            yield chunk(MALFORMED)


def _whole(script: Script, reply: Reply) -> Iterator[Move]:
    """A whole reply comes when its last token would have come."""
    wait_ms = script.ttft_ms + (0 if script.burst else script.gap_ms * max(0, reply.count - 1))
    if wait_ms:
        yield wait_ms / 1000
    match script.fault:
        case "cut" | "reset":
            yield reply.head + reply.body[: len(reply.body) // 2]
            yield Act.CUT if script.fault == "cut" else Act.RESET
        case "stall":
            yield reply.head + reply.body[: len(reply.body) // 2]
            yield Act.HOLD
            yield reply.body[len(reply.body) // 2 :]
        case _ if script.header_gap_ms:
            yield from _head(script, reply.head)
            yield reply.body
        case _:
            yield reply.head + reply.body
