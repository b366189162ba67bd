"""What a model thought, read out of its text while it arrives."""

from __future__ import annotations

from collections.abc import Callable

from reshore.models.thinking import Marks

Pieces = tuple[str, str]


class ThoughtStream:
    """Splits a text into a thought and an answer, piece by piece, without I/O.

    However the text is cut before it is fed, the pieces concatenate to the same thought and the
    same answer. Blanks around either are markup and dropped.

    Args:
        marks: what stands around a thought.
        opened: the prompt ends inside of a thought; else the text must open it to have one.
    """

    def __init__(self, marks: Marks, *, opened: bool) -> None:
        self._marks = marks
        self._opened = opened
        self._held = ""
        self._read: Callable[[str], Pieces] = self._beginning

    def feed(self, text: str) -> Pieces:
        """Take the next part of the text; what of the thought and of the answer it tells."""
        held, self._held = self._held + text, ""
        return self._read(held)

    def finish(self) -> Pieces:
        """The text has ended: what was still held back, but for an opening that was cut."""
        held, self._held = self._held.rstrip(), ""
        return (held, "") if self._read == self._thought else ("", "")

    def answer(self) -> None:
        """What follows is the answer: the engine itself has taken the thought out."""
        self._read = self._answer_begins

    # Each reader takes a text and keeps in `_held` what it cannot tell yet.

    def _beginning(self, text: str) -> Pieces:
        text = text.lstrip()
        opening, direct = self._marks.opening, self._marks.direct
        if opening.startswith(text) or (text != direct and direct.startswith(text)):
            self._held = text
            return "", ""
        if text.startswith(opening):
            return self._thought_begins(text.removeprefix(opening))
        if self._opened:
            return self._thought_begins(text)
        return self._answer_begins(text.removeprefix(direct))

    def _thought_begins(self, text: str) -> Pieces:
        text = text.lstrip()
        self._read = self._thought if text else self._thought_begins
        return self._thought(text) if text else ("", "")

    def _thought(self, text: str) -> Pieces:
        thought, tag, rest = text.partition(self._marks.closing)
        if tag:
            return thought.rstrip(), self._answer_begins(rest)[1]
        end = len(text[: _beginning_at_end(text, self._marks.closing)].rstrip())
        self._held = text[end:]
        return text[:end], ""

    def _answer_begins(self, text: str) -> Pieces:
        text = text.lstrip()
        self._read = self._answer if text else self._answer_begins
        return "", text

    def _answer(self, text: str) -> Pieces:
        return "", text


def _beginning_at_end(text: str, tag: str) -> int:
    """Where, at the end of `text`, a beginning of `tag` starts; its length if none does."""
    first = max(0, len(text) - len(tag) + 1)
    return next((at for at in range(first, len(text)) if tag.startswith(text[at:])), len(text))
