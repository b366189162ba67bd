"""A child process as callbacks: its ready line, its log, its end.

An asyncio protocol instead of `asyncio.subprocess`: output is drained without a task per pipe, and
the exit is known in the same turn of the event loop in which the kernel reports it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import cast

from msgspec import Struct

LOG_LINES = 200
_LINE_BYTES = 2000
_READY_BYTES = 64 * 1024


class Command(Struct, frozen=True, kw_only=True):
    """How to start an engine process once.

    Attributes:
        stdin: written to it; the pipe then stays open for as long as it should live.
        key: the bearer token it asks for; never shown in its log tail.
        url: where it will listen; None if it says so itself, in a ready line.
        secrets: files that may be deleted as soon as it is ready or has failed.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    stdin: bytes
    key: str
    url: str | None = None
    secrets: tuple[str, ...] = ()

    def discard_secrets(self) -> None:
        """Delete the files that hold the key."""
        for secret in self.secrets:
            Path(secret).unlink(missing_ok=True)


class LogTail:
    """The last lines of a log, each cut to a bounded length. Owned by one engine.

    Args:
        hide: a text that must not be seen.
    """

    def __init__(self, hide: str) -> None:
        self._lines: deque[str] = deque(maxlen=LOG_LINES)
        self._rest = b""
        self._hide = hide

    @property
    def lines(self) -> tuple[str, ...]:
        return (*self._lines, *self._clean([self._rest] if self._rest else []))

    def feed(self, data: bytes) -> None:
        """Take bytes as they come from a pipe."""
        *lines, rest = (self._rest + data).split(b"\n")
        # A line without an end is kept at twice the length that is shown, no longer.
        self._rest = rest[: 2 * _LINE_BYTES]
        self._lines.extend(self._clean(lines[-LOG_LINES:]))

    def _clean(self, lines: list[bytes]) -> list[str]:
        texts = (line[:_LINE_BYTES].decode("utf-8", "replace").rstrip() for line in lines)
        return [text.replace(self._hide, "[key]") for text in texts if text]


class Child(asyncio.SubprocessProtocol):
    """One running process. Made by `spawn`; all of it happens in the event loop's thread.

    Attributes:
        ready: the first line it writes to its standard output.
        exited: its exit code, negative for a signal.
    """

    def __init__(self, log: LogTail, on_exit: Callable[[Child], None]) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[bytes] = loop.create_future()
        self.exited: asyncio.Future[int] = loop.create_future()
        self._drained: asyncio.Future[None] = loop.create_future()
        self._transport: asyncio.SubprocessTransport | None = None
        self._log = log
        self._on_exit = on_exit
        self._output = b""

    @property
    def pid(self) -> int | None:
        return self._transport.get_pid() if self._transport else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports keep asyncio's contracts without being its subclasses.
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self._log.feed(data)
        elif not self.ready.done():
            self._output += data
            line, end, _ = self._output.partition(b"\n")
            if end or len(self._output) > _READY_BYTES:
                self.ready.set_result(line)

    def process_exited(self) -> None:
        assert self._transport is not None
        code = self._transport.get_returncode()
        if not self.exited.done():
            self.exited.set_result(-1 if code is None else code)
            self._on_exit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._drained.done():
            self._drained.set_result(None)

    def terminate(self) -> None:
        """Ask it to end; no-op if it has ended."""
        self.send_signal(signal.SIGTERM)
        if hasattr(signal, "SIGCONT"):
            # Engines take turns by being stopped; a stopped process does not see SIGTERM.
            self.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it; no-op if it has ended. Works on a stopped process too."""
        self.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))

    def send_signal(self, number: int) -> None:
        # Not through the transport: on Python 3.11 that polls the process first, and an exit seen
        # there is lost to the event loop, which then makes up the code 255.
        if self.pid is not None and not self.exited.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)

    async def wait(self, grace_s: float = 1.0) -> int:
        """Wait until it has ended and its log is read, and close its pipes; its exit code.

        Args:
            grace_s: how long the log may take after the end; a process of its own that holds the
                pipe open cannot keep us waiting. Cancellation leaves the process as it is.
        """
        code = await asyncio.shield(self.exited)
        await asyncio.wait({self._drained}, timeout=grace_s)
        if self._transport:
            self._transport.close()
        return code


async def spawn(command: Command, log: LogTail, on_exit: Callable[[Child], None]) -> Child:
    """Start a process, which takes itself out of reach of the terminal's Ctrl-C (`child`).

    Args:
        on_exit: called once, when it has ended.

    Raises:
        OSError: it cannot be started.
    Cancellation kills it.
    """
    loop = asyncio.get_running_loop()
    transport, child = await loop.subprocess_exec(
        lambda: Child(log, on_exit), *command.argv, env=command.env
    )
    stdin = cast(asyncio.WriteTransport, transport.get_pipe_transport(0))
    stdin.write(command.stdin)
    return child
