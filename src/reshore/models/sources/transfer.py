"""Bringing a file's bytes into a partial: in parts side by side, each tried again where it broke.

Who asks for the bytes (a registry's blob, a file on a web server) is the caller's: it opens one
range, and this decides which ranges, how often, and whether what comes is what was asked for.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing

import aiohttp

from reshore.errors import SourceError
from reshore.models import spans
from reshore.models.blocking import blocking
from reshore.models.partial import Partial
from reshore.models.progress import pulling
from reshore.models.sources.manner import Manner
from reshore.models.sources.patience import TryAgain, Unreached, WrongSize
from reshore.models.sources.reply import pieces
from reshore.models.spans import Span

PROGRESS_EVERY_S = 0.06  # as often as Ollama tells
EARNED_BYTES = 16 << 20  # arrived in one try, these make up for the tries before
_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/(?:([0-9]{1,19})|\*)")
_ANOTHER = "it sent the piece from byte {} on, which was not asked for"

Open = Callable[[dict[str, str]], AbstractAsyncContextManager[aiohttp.ClientResponse]]
"""Asks for the file with further headers (`Range`); a reply of 200, 206 or 416, or an error."""


class _Whole(Exception):
    """The host does not give ranges, so the file can only come in one stream."""


class Transfer:
    """One file on its way from `open_range` into a partial. Belongs to one task.

    Args:
        what: the file in messages: its digest, or its address.
        host: who sends it, for messages.
        size: how many bytes it must have.
    """

    def __init__(
        self,
        open_range: Open,
        partial: Partial,
        *,
        what: str,
        host: str,
        size: int,
        manner: Manner,
    ) -> None:
        self._open = open_range
        self._partial = partial
        self._what = what
        self._host = host
        self._size = size
        self._manner = manner
        self._told_s: float | None = None

    async def run(self) -> None:
        """Fetch what is missing. Cancellation ends all parts; what has arrived stays.

        Raises:
            SourceError: the file cannot be had after all tries.
            WrongSize: it is not what it should be; nothing of it is kept.
            DiskFull: no space is left.
        """
        if self._partial.length > self._size:
            await blocking(self._partial.restart)
        gaps = self._partial.missing(self._size)
        todo = spans.in_parts(gaps, self._manner.parts.size_for(self._size))
        try:
            if todo and todo != ((self._partial.reached(0), self._size),):
                await self._side_by_side(todo)
            await self._stretch(0, self._size, alone=True)
        except WrongSize:
            await blocking(self._partial.discard)
            raise

    async def _side_by_side(self, todo: tuple[Span, ...]) -> None:
        places = asyncio.Semaphore(self._manner.parts.at_once)

        async def part(start: int, end: int) -> None:
            async with places:
                await self._stretch(start, end)

        try:
            async with asyncio.TaskGroup() as group:
                for span in todo:
                    group.create_task(part(*span))
        except ExceptionGroup as failed:
            reason = failed.exceptions[0]
            if not isinstance(reason, _Whole):
                raise reason from None
            await blocking(self._partial.restart)

    async def _stretch(self, start: int, end: int, *, alone: bool = False) -> None:
        """Fetch from `start` to `end`; `alone` it is all there is to do, and may begin anew."""
        failures = 0
        while (position := self._partial.reached(start)) < end:
            try:
                await self._stream(position, end, alone)
            except (TryAgain, Unreached) as error:
                if self._partial.reached(start) - position >= EARNED_BYTES:
                    failures = 0
                failures += 1
                if failures > self._manner.patience.retries:
                    raise SourceError(
                        f"{self._host} gave {self._partial.length} of {self._size} bytes of "
                        f"{self._what} and then failed {failures} times, at last: {error}. "
                        "Pull again to go on from here."
                    ) from error
                await self._manner.clock.sleep(self._manner.patience.pause_s(failures))

    async def _stream(self, position: int, end: int, alone: bool) -> None:
        """One request: puts what arrives in its place until the end or until the stream breaks."""
        async with (
            self._open(self._range(position, end)) as response,
            aclosing(pieces(response, self._manner.clock)) as arriving,
        ):
            position = await self._line_up(response, position, end, alone)
            async for piece in arriving:
                if position + len(piece) > end:
                    raise WrongSize(
                        f"{self._host} sends more than the {self._size} bytes that {self._what} has"
                    )
                await blocking(self._partial.write_at, position, piece)
                position += len(piece)
                self._tell()
        if position < end:
            raise TryAgain(f"the transfer ended at byte {position} of {end}")

    def _range(self, position: int, end: int) -> dict[str, str]:
        if position == 0 and end == self._size:
            return {}
        last = "" if end == self._size else str(end - 1)
        return {"Range": f"bytes={position}-{last}"}

    async def _line_up(
        self, response: aiohttp.ClientResponse, position: int, end: int, alone: bool
    ) -> int:
        """Where the body begins, after what does not fit it was forgotten.

        Raises:
            WrongSize: the host serves something of another size.
            TryAgain: it serves another piece than was asked for.
            _Whole: it does not serve pieces, and not all of the file is to be fetched here.
        """
        start, stop, total = 0, self._size, response.content_length
        if response.status == 206:
            match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if match is None:
                raise TryAgain("it sent a piece without saying which")
            start, stop = int(match[1]), int(match[2]) + 1
            total = int(match[3]) if match[3] else None
        if response.status != 416 and total is not None and total != self._size:
            raise WrongSize(
                f"{response.url.host} serves {total} bytes for {self._what} instead of {self._size}"
            )
        if response.status == 206 and start == position and stop == end:
            return start
        if response.status == 200 and position == 0 and end == self._size:
            return 0
        if not alone:
            raise _Whole if response.status != 206 else TryAgain(_ANOTHER.format(start))
        await blocking(self._partial.restart)
        if response.status == 416:
            raise TryAgain("it refused to go on from where the transfer was cut")
        if start != 0:
            raise TryAgain(_ANOTHER.format(start))
        return 0

    def _tell(self) -> None:
        now, done = self._manner.clock.monotonic(), self._partial.length
        due = self._told_s is None or now - self._told_s >= PROGRESS_EVERY_S
        if due or done == self._size:
            self._told_s = now
            self._manner.on_progress(pulling(self._partial.digest, self._size, done))
