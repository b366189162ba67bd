"""Entries that wait in a file because the database is not there for them.

One JSON line an entry, each written whole with a single call, so that a process that is killed
leaves at most one torn line at the end. Files are read back in pieces; how far that came is kept in
the database, in the transaction that stores the piece, so that no entry is stored twice and none
is skipped, whenever the process ends.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import msgspec
from msgspec import Struct

from reshore.ledger.entry import Entry

_SUFFIX = ".jsonl"
_OPEN = ".open"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


class Piece(Struct, frozen=True):
    """Some lines of a file.

    Attributes:
        entries: what they hold.
        end: the offset of the first byte behind them.
        damaged: how many lines could not be understood.
    """

    entries: list[Entry]
    end: int
    damaged: int


class Spill:
    """Appends to one file after the other in a folder. Any thread may, and none waits long.

    Args:
        folder: made when it is needed.
        most_bytes: of all files in the folder together.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most = most_bytes
        self._file: int | None = None
        self._path: Path | None = None
        self._used = 0
        self._lock = threading.Lock()

    def append(self, entries: Iterable[Entry]) -> int:
        """Put entries into the file; returns how many there was no room for.

        Raises:
            OSError: there can be no file; nothing was written.
        """
        refused = 0
        for entry in entries:
            line = _encode(entry) + b"\n"
            with self._lock:
                if self._file is None:
                    self._begin()
                if self._used + len(line) > self._most or not self._write(line):
                    refused += 1
        return refused

    def finish(self) -> bool:
        """The file, if there is one, may be read back; the next entry begins another one."""
        with self._lock:
            if self._file is None or self._path is None:
                return False
            os.close(self._file)
            self._path.rename(self._path.with_suffix(_SUFFIX))
            self._file = self._path = None
            return True

    def _begin(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._used = sum(path.stat().st_size for path in self._folder.iterdir())
        self._path = self._folder / f"{secrets.token_hex(12)}{_OPEN}"
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _write(self, line: bytes) -> bool:
        """Whether the line is in the file. A full disk takes a part of it, which is cut off."""
        assert self._file is not None
        try:
            written = os.write(self._file, line)
            if written < len(line):
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)
                return False
        except OSError:
            return False
        self._used += written
        return True


def adopt(folder: Path) -> None:
    """Finish the files that a process left open which is no more. Call before any `Spill` is."""
    for path in sorted(folder.glob(f"*{_OPEN}")):
        path.rename(path.with_suffix(_SUFFIX))


def waiting(folder: Path) -> list[Path]:
    """The files that may be read back, oldest first."""
    files = [(path.stat().st_mtime, path) for path in folder.glob(f"*{_SUFFIX}")]
    return [path for _, path in sorted(files)]


def pieces(path: Path, start: int, most: int) -> Iterator[Piece]:
    """What a finished file holds from an offset on, at most so many lines at a time."""
    with path.open("rb") as file:
        file.seek(start)
        while lines := list(islice(iter(file.readline, b""), most)):
            entries: list[Entry] = []
            for line in lines:
                try:
                    entries.append(_decode(line))
                except msgspec.DecodeError:  # torn, or of a release that knew other entries
                    continue
            yield Piece(entries, file.tell(), len(lines) - len(entries))
