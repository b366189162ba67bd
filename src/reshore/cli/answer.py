"""An answer on the terminal, or into a program."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Iterator

from rich.console import Console

from reshore.cli.native import Counts, Piece
from reshore.cli.output import note

# A model must not move the cursor, rename the window or write to the clipboard of a terminal:
# all control characters but tab and newline are left out.
_CONTROLS = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - {0x09, 0x0A})
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"

# What the server tells of an answer in its headers, in words for people.
_NOTICES = {
    "num-ctx": "the context length is {} tokens here, less than was asked for",
    "ignored": "without effect here: {}",
    "truncated": "what you sent is too long and was cut: {}",
    "decision": "routed: {}",
}
_ASKED_FOR = frozenset({"decision"})  # said of every answer, so only to who wants to know more


def print_answer(pieces: Generator[Piece], *, verbose: bool = False, thinking: bool = True) -> None:
    """Write an answer as it comes, with a sign of life before its first word.

    Into a program goes the text, as it is. On a terminal control characters are left out, and
    what a model thinks before it answers is shown dimmed, unless `thinking` is off. `verbose`
    adds on stderr what the answer took, and where it came from. What the server clamped or ignored
    is told on stderr.
    """
    paper = _Terminal(thinking) if sys.stdout.isatty() else _Paper()
    counts = None
    try:
        with contextlib.closing(pieces):
            for piece in _after_waiting(pieces):
                for name, value in piece.notices.items():
                    if verbose or name not in _ASKED_FOR:
                        note(f"note: {_NOTICES.get(name, f'{name}: {{}}').format(value)}")
                paper.write(piece)
                counts = piece.counts or counts
    finally:
        paper.end()
    if verbose and counts is not None:
        note(timings(counts))


class _Paper:
    """Where the text of one answer is written to."""

    def __init__(self) -> None:
        self._ends_line = True

    def write(self, piece: Piece) -> None:
        self._put(piece.text)

    def end(self) -> None:
        """Leave the cursor at the start of a line."""
        if not self._ends_line:
            self._put("\n")

    def _put(self, text: str) -> None:
        if text:
            self._ends_line = text.endswith("\n")
            sys.stdout.write(text)
            sys.stdout.flush()


class _Terminal(_Paper):
    """A person's screen."""

    def __init__(self, thinking: bool) -> None:
        super().__init__()
        self._shows = thinking
        self._thought = False

    def write(self, piece: Piece) -> None:
        if piece.reasoning and self._shows:
            self._thought = True
            self._put(_DIM + piece.reasoning.translate(_CONTROLS) + _PLAIN)
        text = piece.text.translate(_CONTROLS)
        if text and self._thought:
            self._thought = False
            self._put("\n\n")
        self._put(text)


def timings(counts: Counts) -> str:
    """What an answer took, in three lines."""
    return "\n".join(
        (
            f"total   {counts.total_s:.2f} s, {counts.load_s:.2f} s of it to load the model",
            f"prompt  {_rate(counts.prompt_tokens, counts.prompt_s)}",
            f"answer  {_rate(counts.completion_tokens, counts.completion_s)}",
        )
    )


def _rate(tokens: int, seconds: float) -> str:
    speed = f", {tokens / seconds:.1f} tokens/s" if seconds else ""
    return f"{tokens} token{'' if tokens == 1 else 's'} in {seconds:.2f} s{speed}"


def _after_waiting(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """The same pieces, with a spinner until the first: a model may have to be loaded."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return pieces
    with console.status("waiting for the model"):
        first = next(pieces, None)
    return pieces if first is None else _chain(first, pieces)


def _chain(first: Piece, rest: Iterator[Piece]) -> Iterator[Piece]:
    yield first
    yield from rest
