r"""What patterns match is blacked out in what is kept of prompts and answers. Pure.

A kept prompt is the request as it came: a line break is the letters `\n` in there, and its end may
be cut off. So nothing is parsed: patterns are searched in every string of it as it reads, and what
changes is written back in its place. What was JSON stays JSON, for those who ask it again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reshore.wire.inner import LAYERS, escaped, opens, unescaped

_BLACK = "█████"
# Of JSON: a string, of which the end may be missing, or a number.
_TOKEN = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)("?)|-?\d[\d.eE+-]*', re.DOTALL)


class Redaction:
    """Some regular expressions; without any, texts stay as they are."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = tuple(re.compile(pattern) for pattern in patterns)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def black_out(self, text: str) -> str:
        """As it may be stored: nothing matches in it, in its strings, nor in JSON in those."""
        return self._read(text, LAYERS) if self._patterns else text

    def _read(self, text: str, layers: int) -> str:
        is_json = opens(text)
        if is_json and layers:
            text = _TOKEN.sub(lambda token: self._token(token, layers - 1), text)
        text = self._covered(text)
        said = unescaped(text)
        if said == text or not layers:
            return text
        # Escapes outside of JSON's strings: JSON in a code fence, or what Python prints.
        covered = self._covered(said) if is_json else self._read(said, layers - 1)
        return text if covered == said else covered

    def _token(self, token: re.Match[str], layers: int) -> str:
        if token[1] is None:
            covered = self._covered(token[0])
            return token[0] if covered == token[0] else f'"{covered}"'
        said = unescaped(token[1])
        covered = self._read(said, layers)
        return token[0] if covered == said else f'"{escaped(covered)}{token[2]}'

    def _covered(self, text: str) -> str:
        for pattern in self._patterns:
            text = pattern.sub(_BLACK, text)
        return text
