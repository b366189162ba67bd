"""Single keys from a terminal, or characters of what is piped in."""

from __future__ import annotations

import os
import re
import sys
from types import TracebackType
from typing import Any, Self

try:
    import termios
    import tty
except ImportError:  # there are none for Windows, where lines are read
    termios = tty = None  # type: ignore[assignment]

# What a terminal sends for Ctrl-D, where it gives keys as they come.
_END = "\x04"
# An arrow is several characters, some of which would be keys by themselves.
_NO_KEY = re.compile(r"\x1b(?:\[[0-9;?]*[@-~]|O.|.)?")


class Keys:
    """Reads keys from standard input, as a context manager; leaving gives the terminal back.

    Ctrl-C stays Ctrl-C.
    """

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno()
        self._before: list[Any] | None = None
        self._waiting: list[str] = []

    def __enter__(self) -> Self:
        if termios is not None and os.isatty(self._descriptor):
            self._before = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def read(self) -> str:
        """The next key; "" at the end of the input. Blanks are no keys, nor are arrows and such."""
        while not self._waiting:
            data = os.read(self._descriptor, 64)
            if not data:
                return ""
            text = _NO_KEY.sub("", data.decode(errors="replace"))
            self._waiting = [each for each in text if not each.isspace()]
        key = self._waiting.pop(0)
        return "" if key == _END else key
