r"""What a string says that holds JSON itself, as results and arguments of tools do.

Whoever looks for words in a request must not miss them because a line break is the letters `\n` in
there, and `ü` is `\u00fc`.
"""

from __future__ import annotations

import json
import re
from typing import Any

# JSON in a string of JSON, and so on: each layer doubles the backslashes, so nobody has many. The
# bound keeps a text that is made for it from being read again and again.
LAYERS = 8

_OPENS = re.compile(r"\s*[\[{]")
# In runs, so that both halves of a surrogate pair are read together.
_ESCAPES = re.compile(r'(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))+')
# Most runs are one of these, and a long text has very many.
_COMMON = {r"\n": "\n", r"\"": '"', r"\t": "\t", r"\\": "\\"}


def opens(text: str) -> bool:
    """Whether it begins as an object or an array of JSON does; it may be cut off."""
    return _OPENS.match(text) is not None


def inner(text: str) -> Any:
    """The object or array that a string holds, else the string without its escapes.

    The latter is for what is JSON in part: in a code fence, after a word, cut off, or as Python
    prints it. None where there is nothing but the string itself.
    """
    if opens(text):
        try:
            return json.loads(text, strict=False)
        except (ValueError, RecursionError):
            pass  # no JSON, or what no parser takes: it is still a text
    said = unescaped(text)
    return None if said == text else said


def unescaped(text: str) -> str:
    """With one layer of JSON's escapes read; other backslashes stay as they are."""
    return _ESCAPES.sub(_read, text) if "\\" in text else text


def escaped(text: str) -> str:
    """As it stands between the quotes of a JSON string, readable in any script."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _read(run: re.Match[str]) -> str:
    said: str = _COMMON.get(run[0]) or json.loads(f'"{run[0]}"')
    return said
