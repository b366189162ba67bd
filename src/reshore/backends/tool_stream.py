"""Tool calls read out of generated text while it arrives (the format of `backends.tools`)."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable

from reshore.types import ToolCallDelta

OPEN = "<tool_call>"
CLOSE = "</tool_call>"
LEAD = '\n{"name": "'
MIDDLE = '", "arguments": '
TAIL = "}\n" + CLOSE

Piece = str | ToolCallDelta

_NAME_END = re.compile(r'(?:[^"\\]|\\.)*"', re.DOTALL)
_STRUCTURE = re.compile(r'["\\{}\[\]]')


def new_call_id() -> str:
    """A random id in OpenAI's form."""
    return f"call_{secrets.token_hex(12)}"


class ToolStream:
    """Splits an answer into text and calls, piece by piece, without I/O.

    However the text is cut before it is fed, the pieces concatenate to the same text and the same
    calls. Text is passed on as soon as it cannot be the opening of a call; blanks around calls are
    markup and dropped. Arguments are passed on as they come, exactly as generated.

    Attributes:
        called: whether at least one call has begun.

    Args:
        new_id: makes the id of each call.
    """

    def __init__(self, new_id: Callable[[], str] = new_call_id) -> None:
        self._new_id = new_id
        self._held = ""
        self._read: Callable[[list[Piece]], bool] = self._text
        self._blanks = ""
        self._calls = 0
        self._depth = 0
        self._in_string = False
        self._escaped = False

    @property
    def called(self) -> bool:
        return self._calls > 0

    def feed(self, content: str) -> tuple[Piece, ...]:
        """Take the next part of the answer; what can be told from it now."""
        self._held += content
        pieces: list[Piece] = []
        while self._held and self._read(pieces):
            pass
        return tuple(pieces)

    def finish(self) -> tuple[Piece, ...]:
        """The answer has ended: what was still held back.

        A call cut off before its name was complete is dropped; whoever asks for the finish reason
        learns that the answer was cut.
        """
        held, self._held = self._held, ""
        is_text = self._read == self._text and not (self.called and not held.strip())
        return (held,) if held and is_text else ()

    # Each reader takes what it can from `_held`; False: it needs more.

    def _text(self, pieces: list[Piece]) -> bool:
        before, tag, after = self._held.partition(OPEN)
        if tag:
            text = before.rstrip()
            self._put_text(pieces, text)
            self._blanks = before[len(text) :]
            self._held = after
            self._read = self._head
            return True
        keep = _opening_at_end(before)
        self._put_text(pieces, before[:keep])
        self._held = before[keep:]
        return False

    def _head(self, pieces: list[Piece]) -> bool:
        held = self._held
        found = _NAME_END.match(held, len(LEAD))
        name_end = found.end() - 1 if found else 0
        start = name_end + len(MIDDLE)
        if not _agree(held, LEAD) or (found and not _agree(held[name_end:], MIDDLE + "{")):
            return self._not_a_call(pieces)
        if not found or len(held) <= start:
            return False
        try:
            name = json.loads(f'"{held[len(LEAD) : name_end]}"')
        except ValueError:
            return self._not_a_call(pieces)
        pieces.append(ToolCallDelta(index=self._calls, id=self._new_id(), name=name))
        self._calls += 1
        self._held = held[start:]
        self._read = self._arguments
        return True

    def _not_a_call(self, pieces: list[Piece]) -> bool:
        """The tag was text after all; what follows it is read as text."""
        self._put_text(pieces, self._blanks + OPEN)
        self._read = self._text
        return True

    def _arguments(self, pieces: list[Piece]) -> bool:
        end = self._scan(self._held)
        fragment = self._held if end is None else self._held[:end]
        if fragment:
            pieces.append(ToolCallDelta(index=self._calls - 1, arguments=fragment))
        self._held = self._held[len(fragment) :]
        if end is not None:
            self._read = self._tail
        return end is not None

    def _scan(self, text: str) -> int | None:
        """Where the arguments end; None if they go on. Keeps its place between calls."""
        at = 0
        if self._escaped:
            at, self._escaped = 1, False
        while found := _STRUCTURE.search(text, at):
            at = found.end()
            sign = found[0]
            if sign == "\\":
                self._escaped = at == len(text)
                at += 1
            elif sign == '"':
                self._in_string = not self._in_string
            elif not self._in_string:
                self._depth += 1 if sign in "{[" else -1
                if self._depth == 0:
                    return at
        return None

    def _tail(self, pieces: list[Piece]) -> bool:
        if len(self._held) < len(TAIL) and _agree(self._held, TAIL):
            return False
        self._held = self._held.removeprefix(TAIL)
        self._read = self._text
        return True

    def _put_text(self, pieces: list[Piece], text: str) -> None:
        if text:
            pieces.append(text)


def _agree(text: str, expected: str) -> bool:
    """Whether one is the beginning of the other."""
    return text.startswith(expected) or expected.startswith(text)


def _opening_at_end(text: str) -> int:
    """Where, at the end of `text`, blanks and the beginning of an opening tag start."""
    at = text.rfind("<", max(0, len(text) - len(OPEN) + 1))
    end = at if at >= 0 and OPEN.startswith(text[at:]) else len(text)
    return len(text[:end].rstrip())
