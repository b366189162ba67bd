"""What is noted while a reply streams by, whatever dialect it is written in."""

from __future__ import annotations

from collections.abc import Sequence

from reshore.backends.answer import Measured, whole_calls
from reshore.types import Chunk, Reply, ToolCallDelta

VIOLATION = "x-reshore-schema-violation"

_LONGEST = 500  # characters of a header


class Following:
    """Notes what is measured, and what is said when it is to be checked. Belongs to the task that
    reads the reply."""

    def __init__(self, reply: Reply, measured: Measured) -> None:
        self._measured = measured
        self._verify = reply.verify
        self._texts: dict[int, list[str]] | None = {} if reply.verify else None
        self._verify_calls = reply.verify_calls
        self._calls: dict[int, list[ToolCallDelta]] | None = {} if reply.verify_calls else None

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
            if self._calls is not None and chunk.tool_calls:
                self._calls.setdefault(chunk.index, []).extend(chunk.tool_calls)

    def violations(self) -> str:
        """What in the finished texts and calls breaks the schemas of the request, in one line."""
        found: list[str] = []
        if self._verify is not None and self._texts:
            for pieces in self._texts.values():
                found += self._verify("".join(pieces))
        if self._verify_calls is not None and self._calls:
            for deltas in self._calls.values():
                found += self._verify_calls(whole_calls(deltas))
        return _in_one_line("; ".join(found)[:_LONGEST])


def _in_one_line(text: str) -> str:
    # Keys come from the client, and a control character would end the header, or the comment.
    return "".join(char if char.isprintable() else " " for char in text)
