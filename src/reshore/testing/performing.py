"""One request of a scripted upstream: how it was received, and how it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from reshore.engine.echo.http import Connection, Request
from reshore.testing.moves import Act, Move
from reshore.testing.replies import NUMBER


class Received:
    """A request, and what has become of it.

    Attributes:
        path: without the query, which `target` has.
        headers: by name in lower case; several of one name are joined with a comma.
        left: set when the client hung up before all was sent.
        ended: set when it was answered, broken off, or left.
    """

    def __init__(self, request: Request) -> None:
        self.method = request.method
        self.target = request.target
        self.path = request.path
        self.body = request.body
        self.headers: dict[str, str] = {}
        for name, value in request.headers:
            said = self.headers.get(name)
            self.headers[name] = value if said is None else f"{said}, {value}"
        self.left = asyncio.Event()
        self.ended = asyncio.Event()
        self._resumed = False
        self._on_resume: Callable[[], None] | None = None

    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)

    def resume(self) -> None:
        """Let an answer go on that waits (`silent`, `stall`), or will wait."""
        self._resumed = True
        if self._on_resume is not None:
            self._on_resume()

    def hold(self, then: Callable[[], None]) -> None:
        """Call `then` once it is resumed; for the answer."""
        self._on_resume = then
        if self._resumed:
            then()


class Performance:
    """Carries the moves of an answer out, each at its time. Owns its timer.

    Args:
        connection: over which it is answered; the client leaves by it.
        moves: what to do, see `moves`.
        number: of the answer, in the length of its placeholder.
        received: is told how it ended.
        on_end: called when it has ended, once.
    """

    def __init__(
        self,
        connection: Connection,
        moves: Iterator[Move],
        number: bytes,
        received: Received,
        on_end: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._moves = moves
        self._number = number
        self._received = received
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._over = False

    def begin(self) -> None:
        """Do what is to be done now; what is left is done later."""
        self._connection.on_leave = self._leave
        self._due_s = self._loop.time()
        self._go_on()

    def _go_on(self) -> None:
        """Make moves up to the first that takes time."""
        self._timer = None
        for move in self._moves:
            if isinstance(move, bytes):
                self._connection.send(move.replace(NUMBER, self._number))
                if not self._connection.writable:
                    self._connection.on_writable = self._catch_up
                    return
            elif isinstance(move, float):
                self._due_s += move
                self._timer = self._loop.call_at(self._due_s, self._go_on)
                return
            else:
                self._act(move)
                return

    def _catch_up(self) -> None:
        """The client reads again. What is late is not made up for."""
        self._connection.on_writable = None
        self._due_s = self._loop.time()
        self._go_on()

    def _act(self, act: Act) -> None:
        if act is Act.HOLD:
            self._received.hold(self._catch_up)
            return
        self._end()
        if act is Act.END:
            self._connection.finish()
        else:
            self._connection.cut(reset=act is Act.RESET)

    def _leave(self) -> None:
        if not self._over:
            self._received.left.set()
            self._end()

    def _end(self) -> None:
        self._over = True
        self._moves = iter(())
        if self._timer is not None:
            self._timer.cancel()
        self._received.ended.set()
        self._on_end()
