"""A conversation with a model in the terminal: streamed answers, one history."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Iterator
from typing import Any

from msgspec import Struct
from rich.console import Console

from reshore.cli.admin import AdminClient
from reshore.cli.failure import failure_of
from reshore.cli.output import note
from reshore.errors import ReshoreError

with contextlib.suppress(ImportError):
    import readline  # noqa: F401 - being imported is what gives `input` its line editing

PROMPT = ">>> "
_LEAVE = "/bye"

# A model must not move the cursor, rename the window or write to the clipboard of a terminal:
# all control characters but tab and newline are left out.
_CONTROLS = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - {0x09, 0x0A})


class Piece(Struct, frozen=True, kw_only=True):
    """A part of an answer as it arrives; the last one of all may carry `usage` alone."""

    text: str = ""
    reasoning: str = ""
    model: str | None = None
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None


class Conversation:
    """What was said so far, and the model that continues it."""

    def __init__(self, server: AdminClient, model: str) -> None:
        self._server = server
        self._model = model
        self._messages: list[dict[str, str]] = []

    def ask(self, text: str) -> Generator[Piece]:
        """Stream the answer. What was received stays in the history, however the answer ends.

        A question that got no answer at all is forgotten. Closing the iterator, an interrupt
        included, ends the generation.

        Raises:
            BackendError: the server refused, failed or went away.
        """
        question = {"role": "user", "content": text}
        received: list[str] = []
        try:
            for piece in self._stream([*self._messages, question]):
                received.append(piece.text)
                yield piece
        finally:
            if answer := "".join(received):
                self._messages += [question, {"role": "assistant", "content": answer}]

    def _stream(self, messages: list[dict[str, str]]) -> Iterator[Piece]:
        body = {
            "model": self._model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        with contextlib.closing(self._server.stream("/v1/chat/completions", body)) as events:
            for event in events:
                yield _piece(event)


def print_answer(pieces: Generator[Piece]) -> None:
    """Write an answer as it comes, with a sign of life before its first word.

    Into a program goes the text, as it is. On a terminal control characters are left out, and
    what a model thinks before it answers is shown dimmed.
    """
    terminal = sys.stdout.isatty()
    with contextlib.closing(pieces):
        ends_line = True
        for piece in _after_waiting(pieces):
            text = piece.text.translate(_CONTROLS) if terminal else piece.text
            if terminal and piece.reasoning:
                text = f"\x1b[2m{piece.reasoning.translate(_CONTROLS)}\x1b[0m{text}"
            if text:
                ends_line = text.endswith("\n")
                sys.stdout.write(text)
                sys.stdout.flush()
        if not ends_line:
            print()


def converse(conversation: Conversation) -> None:
    """Question by question until Ctrl-D or `/bye`; Ctrl-C stops the answer, not the conversation.

    A failed answer is one line, and the conversation goes on.
    """
    note(f"Ctrl-C stops an answer, Ctrl-D or {_LEAVE} leaves.")
    while True:
        try:
            text = input(PROMPT).strip()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            note(f"\nCtrl-D or {_LEAVE} leaves.")
            continue
        if text == _LEAVE:
            return
        if text:
            _answer(conversation, text)


def _answer(conversation: Conversation, text: str) -> None:
    try:
        print_answer(conversation.ask(text))
    except KeyboardInterrupt:
        print()
    except ReshoreError as error:
        failure = failure_of(error)
        note(f"error: {failure.line if failure else error}")


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


def _piece(event: dict[str, Any]) -> Piece:
    choice: dict[str, Any] = next(iter(event.get("choices") or ()), {})
    delta = choice.get("delta") or {}
    return Piece(
        text=delta.get("content") or "",
        reasoning=delta.get("reasoning_content") or "",
        model=event.get("model"),
        finish_reason=choice.get("finish_reason"),
        usage=event.get("usage"),
    )
