"""One answer under way: paces the steps of a script over a connection, with its faults."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn

import msgspec

from reshore.engine.echo.http import Connection, chunk
from reshore.engine.echo.script import Answer, Script, Step
from reshore.engine.echo.shapes import Shape

_GARBAGE = chunk(b'data: {"choices":[{"delta":\xff\n\n')
_EXIT_CODE = 17


class Generation:
    """Answers `count` choices; owns its timer. Ends by itself, by fault, or when the client leaves.

    Args:
        release: called exactly once, when it no longer needs its slots.
    """

    def __init__(
        self,
        connection: Connection,
        shape: Shape,
        script: Script,
        count: int,
        release: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._shape = shape
        self._script = script
        self._answers = [Answer(script) for _ in range(count)]
        self._release = release
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._over = False

    def stream(self) -> None:
        """Start to send events, the first after the script's `ttft_s`."""
        self._open: dict[int, Iterator[Step]] = {}
        self._connection.begin()
        self._connection.on_leave = self._end
        self._connection.on_writable = self._resume
        self._next_at = self._loop.time() + self._script.ttft_s
        self._later(self._first)

    def collect(self) -> None:
        """Send one body when all would have been said."""
        script = self._script
        self._connection.on_leave = self._end
        if script.length is None and script.limit is None:
            return  # it never ends: only the client's leaving ends it
        steps = [list(answer) for answer in self._answers]
        delay = script.ttft_s + script.gap_s * max(0, self._answers[0].tokens - 1)
        body = self._shape.body(list(zip(steps, self._answers, strict=True)))
        self._next_at = self._loop.time() + delay
        self._later(lambda: self._finish_collected(body))

    def _first(self) -> None:
        self._open = {index: iter(answer) for index, answer in enumerate(self._answers)}
        opening = b"".join(self._shape.opening(index) for index in self._open)
        if opening:
            self._connection.send(opening)
        if self._script.burst and not self._script.fault and self._script.length is not None:
            self._connection.send(b"".join(self._frames()))
            self._finish()
        else:
            self._tick()

    def _tick(self) -> None:
        """Send the next token of every choice, and come back for the one after."""
        self._timer = None
        if self._fails():
            return
        frames = b"".join(self._round())
        if frames:
            self._connection.send(frames)
        if not self._open:
            self._finish()
        elif self._connection.writable:
            self._next_at += self._script.gap_s
            self._later(self._tick)

    def _resume(self) -> None:
        if self._timer is None and not self._over:
            self._next_at = self._loop.time()
            self._later(self._tick)

    def _frames(self) -> Iterator[bytes]:
        while self._open:
            yield from self._round()

    def _round(self) -> Iterator[bytes]:
        for index, steps in list(self._open.items()):
            step = next(steps, None)
            answer = self._answers[index]
            if step is None:
                del self._open[index]
                yield self._shape.closing(index, answer)
            elif step.text or step.name:
                yield self._shape.step(index, step, answer.tokens)

    def _fails(self) -> bool:
        """Do what the script says shall go wrong now; whether the stream goes no further."""
        script = self._script
        if not script.fault or self._answers[0].tokens != script.fault_after:
            return False
        if script.fault == "exit":
            exit_abruptly()
        elif script.fault == "cut":
            self._connection.cut()
        elif script.fault == "error":
            self._connection.send(chunk(b"data: " + error_body(500, "scripted failure") + b"\n\n"))
            self._finish(last=b"")
        elif script.fault == "garbage":
            self._connection.send(_GARBAGE)
            return False
        return True

    def _finish(self, last: bytes | None = None) -> None:
        last = self._shape.last() if last is None else last
        self._end()
        if last:
            self._connection.send(last)
        self._connection.end()

    def _finish_collected(self, body: bytes) -> None:
        fault = self._script.fault
        if fault == "exit":
            exit_abruptly()
        if fault == "hang":
            return
        self._end()
        if fault == "cut":
            self._connection.cut()
        elif fault == "error":
            self._connection.respond(500, error_body(500, "scripted failure"))
        else:
            self._connection.respond(200, body[: len(body) // 2] if fault == "garbage" else body)

    def _later(self, step: Callable[[], None]) -> None:
        if self._next_at > self._loop.time():
            self._timer = self._loop.call_at(self._next_at, step)
        else:
            self._timer = self._loop.call_soon(step)

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._release()


def exit_abruptly() -> NoReturn:
    """End the process as a crash would, with a word in the log."""
    print("scripted exit", file=sys.stderr, flush=True)  # noqa: T201 the log of this process
    os._exit(_EXIT_CODE)


def error_body(status: int, message: str, kind: str = "server_error", **more: int) -> bytes:
    """An error as llama.cpp words it."""
    return msgspec.json.encode({"error": {"code": status, "message": message, "type": kind} | more})
