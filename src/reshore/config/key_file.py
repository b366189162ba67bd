"""Files with keys: one a line, lines that begin with `#` are comments."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from reshore.errors import ConfigError

_SENDABLE = re.compile(r"[\x21-\x7e]+")


def read_key_file(path: Path, setting: str) -> tuple[str, ...]:
    """The keys in a file, each once.

    Args:
        setting: the dotted key that names the file, for errors.

    Raises:
        ConfigError: it cannot be read, holds no key, or one that no header can carry. The message
            never shows a key.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"{setting} {path}: {reason}") from None
    keys = checked_keys((line for line in lines if not line.lstrip().startswith("#")), str(path))
    if not keys:
        raise ConfigError(f"{setting} {path}: there is no key in it")
    return keys


def checked_keys(pieces: Iterable[str], source: str) -> tuple[str, ...]:
    """Keys without the blanks around them, each once; empty ones are none.

    Raises:
        ConfigError: one holds what no header can carry; names the source and not the key.
    """
    keys = tuple(dict.fromkeys(piece.strip() for piece in pieces if piece.strip()))
    for number, key in enumerate(keys, 1):
        if not _SENDABLE.fullmatch(key):
            raise ConfigError(f"{source}: key {number} holds a space or a character beyond ASCII")
    return keys
