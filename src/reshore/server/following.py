"""What is noted while a reply streams by, whatever dialect it is written in."""

from __future__ import annotations

from collections.abc import Sequence

from reshore.server.exchange import Exchange
from reshore.types import Chunk, Reply

VIOLATION = "x-reshore-schema-violation"

_LONGEST = 500  # characters of a header


class Following:
    """Notes usage for the Outcome, and the texts when they are to be checked. Belongs to the task
    of the request."""

    def __init__(self, exchange: Exchange, reply: Reply) -> None:
        self._exchange = exchange
        self._reply = reply
        self._texts: dict[int, list[str]] | None = {} if reply.verify else None

    def note(self, batch: Sequence[Chunk]) -> None:
        """Take a batch of the reply."""
        last = batch[-1]
        if last.usage is not None:
            self._exchange.usage, self._exchange.timings = last.usage, last.timings
        if self._texts is not None:
            for chunk in batch:
                if chunk.content:
                    self._texts.setdefault(chunk.index, []).append(chunk.content)

    def violations(self) -> str:
        """What in the finished texts breaks the schema that was asked for, in one line."""
        if self._reply.verify is None or not self._texts:
            return ""
        found: list[str] = []
        for pieces in self._texts.values():
            found += self._reply.verify("".join(pieces))
        return "; ".join(found).replace("\n", " ")[:_LONGEST]
