"""Small changes to a `reshore.toml` that people wrote: comments and order stay as they are. Pure.

Python reads TOML and does not write it, and no writer keeps comments. So the text is changed in one
place, and the result is read again: if it says anything else than it should, nothing is written.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

from reshore.errors import ConfigError

_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)
_KEY = re.compile(r"^[ \t]*read_models[ \t]*=[ \t]*\[", re.MULTILINE)
_EXAMPLE = re.compile(r"^#[ \t]*read_models[ \t]*=.*\n?", re.MULTILINE)
# What a list can hold: a text in one of TOML's two quotes, a comment, or one other character.
_PIECE = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|.', re.DOTALL)


def with_read_model(text: str, path: str) -> str:
    """The settings with one more store to read from; the same text if it is among them.

    Args:
        text: the file, "" for none.

    Raises:
        ConfigError: the file is no TOML, or is written in a way that is not changed safely here.
    """
    before = _parsed(text)
    listed = before.get("read_models", [])
    if path in listed:
        return text
    line = f"read_models = [{', '.join(map(_quoted, [*listed, path]))}]"
    changed = _changed(text, _quoted(path))
    try:
        after = tomllib.loads(changed)
    except tomllib.TOMLDecodeError:
        after = {}
    if after != before | {"read_models": [*listed, path]}:
        raise ConfigError(f"reshore.toml is not changed automatically; write into it: {line}")
    return changed


def _quoted(text: str) -> str:
    """A text as TOML writes it: as JSON does, but for one character that TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"reshore.toml is no TOML: {error}") from error


def _changed(text: str, item: str) -> str:
    table = _TABLE.search(text)
    end = table.start() if table else len(text)  # what follows belongs to a table
    if key := _KEY.search(text, 0, end):
        return _appended(text, key.end(), item)
    line = f"read_models = [{item}]\n"
    if example := _EXAMPLE.search(text, 0, end):
        return _inserted(text, example.end(), line)
    return _inserted(text, _before_comments(text, end), line)


def _appended(text: str, start: int, item: str) -> str:
    """With `item` at the end of the list that opens before `start`."""
    last, comma = start, False
    for piece in _PIECE.finditer(text, start):
        if piece[0] == "]":
            between = "" if last == start else " " if comma else ", "
            return text[:last] + between + item + text[last:]
        if not piece[0].isspace() and not piece[0].startswith("#"):
            last, comma = piece.end(), piece[0] == ","
    return text


def _inserted(text: str, place: int, line: str) -> str:
    head, tail = text[:place], text[place:]
    if head and not head.endswith("\n"):
        head += "\n"
    return head + line + tail


def _before_comments(text: str, end: int) -> int:
    """Where the comments (and blank lines) that lead a table begin."""
    lines = text[:end].splitlines(keepends=True)
    if end == len(text):
        return end
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        lines.pop()
    return sum(map(len, lines))
