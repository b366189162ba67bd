"""What a person types: line editing, messages of several lines, and a history on disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

try:
    import readline  # being imported is also what gives `input` its line editing
except ImportError:  # there is none for Windows
    readline = None  # type: ignore[assignment]

FIRST, MORE = ">>> ", "... "
QUOTES = '"""'
_REMEMBERED = 1000  # lines, as many as shells keep by default

# What may stand before the quotes that open a message of several lines: elsewhere they are text.
_MAY_OPEN = frozenset({"", "/set system"})


class Prompt:
    """Asks for messages, and remembers the lines for the arrow keys.

    Args:
        history: file that keeps them from one conversation to the next, readable by its owner
            alone; it is made when there is none. A history that cannot be kept is no error.
    """

    def __init__(self, history: Path) -> None:
        self._history = history
        self._keeps = True
        lines = _open_history(history)
        if readline is not None:
            # A pasted text of several lines is one message, too.
            readline.parse_and_bind("set enable-bracketed-paste on")
            readline.clear_history()
            for line in lines:
                readline.add_history(line)

    def read(self) -> str:
        """The next message, without blanks around it.

        Raises:
            EOFError: Ctrl-D, or the end of the input.
            KeyboardInterrupt: Ctrl-C; what was typed of the message is forgotten.
        """
        return read_message(self._line)

    def remember(self, on: bool) -> None:
        """Whether lines are kept from now on."""
        self._keeps = on
        if readline is not None:
            readline.set_auto_history(on)

    def _line(self, shown: str) -> str:
        line = input(shown)
        if self._keeps and line:
            # Bytes of no text come out of a terminal as well.
            kept = f"{line}\n".encode(errors="replace")
            with contextlib.suppress(OSError), self._history.open("ab") as file:
                file.write(kept)
        return line


def read_message(ask: Callable[[str], str]) -> str:
    """A message; one that begins with three quotes goes on to the next three.

    Args:
        ask: shows a prompt and returns a line.
    """
    line = ask(FIRST)
    before, quotes, rest = line.partition(QUOTES)
    if not quotes or " ".join(before.split()) not in _MAY_OPEN:
        return line.strip()
    while QUOTES not in rest:
        rest = f"{rest}\n{ask(MORE)}"
    inside, _, after = rest.partition(QUOTES)
    return f"{before}{inside}{after}".strip()


def _open_history(path: Path) -> list[str]:
    """The lines that are there. The file is made before anything is in it, and kept short."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        path.chmod(0o600)
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        if len(lines) > _REMEMBERED:
            lines = lines[-_REMEMBERED:]
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return lines
