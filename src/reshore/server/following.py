"""What is noted while a reply streams by, whatever dialect it is written in."""

from __future__ import annotations

from collections.abc import Sequence

from reshore.backends.answer import Measured
from reshore.types import Chunk, Reply

VIOLATION = "x-reshore-schema-violation"

_LONGEST = 500  # characters of a header


class Following:
    """Notes what is measured, and the texts when they are to be checked. Belongs to the task that
    reads the reply."""

    def __init__(self, reply: Reply, measured: Measured) -> None:
        self._measured = measured
        self._verify = reply.verify
        self._texts: dict[int, list[str]] | None = {} if reply.verify else None

    def note(self, batch: Sequence[Chunk]) -> None:
        """Take a batch of the reply."""
        measured = self._measured
        for chunk in batch:
            if chunk.index == 0:
                if chunk.finish_reason is not None:
                    measured.finish_reason = chunk.finish_reason
                if measured.text is not None:
                    if chunk.content:
                        measured.text.append(chunk.content)
                    measured.calls += chunk.tool_calls
            if chunk.usage is not None:
                measured.usage, measured.timings = chunk.usage, chunk.timings
            if self._texts is not None and chunk.content:
                self._texts.setdefault(chunk.index, []).append(chunk.content)

    def violations(self) -> str:
        """What in the finished texts breaks the schema that was asked for, in one line."""
        if self._verify is None or not self._texts:
            return ""
        found: list[str] = []
        for pieces in self._texts.values():
            found += self._verify("".join(pieces))
        return "; ".join(found).replace("\n", " ")[:_LONGEST]
