"""All rollouts, kept in files: `RESHORE_HOME/rollouts/`.

`000003.json` is rollout 3, replaced as a whole whenever it is written. A file that cannot be read
is set aside (`000003.json.damaged`) and told of: the route stays as that rollout left it, and
nothing drives it any more. Whoever writes here holds the lock of RESHORE_HOME.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Raw, Struct

from reshore.errors import ConfigError, HistoryError
from reshore.evals.rollouts.kept import Kept
from reshore.models.disk import write_atomic

FORMAT = 1
DAMAGED = ".damaged"
# What a damaged file can raise, also one that is nested without an end.
_UNREADABLE = (OSError, ConfigError, ValueError, IndexError, RecursionError)


class _File(Struct, frozen=True, kw_only=True):
    """What stands in a file. `sha256` is that of the bytes of `rollout`."""

    format: int
    sha256: str
    rollout: Raw


class Shelf:
    """The rollouts in a folder. Blocks for milliseconds; belongs to one thread at a time.

    Args:
        folder: is made with the first rollout.
        write: replaces a file atomically and durably.
    """

    def __init__(self, folder: Path, write: Callable[[Path, bytes], None] = write_atomic) -> None:
        self._folder = folder
        self._write = write

    def load(self) -> tuple[list[Kept], list[str]]:
        """All rollouts, oldest first, and what is wrong with the files that could not be read.

        Raises:
            HistoryError: the folder cannot be read.
        """
        found: list[Kept] = []
        problems: list[str] = []
        for number, path in self._files():
            try:
                found.append(_decoded(path.read_bytes(), number))
            except _UNREADABLE as error:
                problems.append(self._set_aside(path, error))
        return found, problems

    def next_number(self) -> int:
        """The number of the next rollout; those of damaged files are not used again.

        Raises:
            HistoryError: the folder cannot be read.
        """
        return max((number for number, _ in self._files(damaged=True)), default=0) + 1

    def save(self, number: int, body: bytes) -> None:
        """Replace a rollout's file.

        Args:
            body: what `encoded` made of it.

        Raises:
            HistoryError: it could not be written; the file is as it was.
        """
        try:
            self._write(self._path(number), body)
        except OSError as error:
            raise _unusable("written", self._path(number), error) from error

    def forget(self, number: int) -> None:
        """Remove the file of a rollout that never began."""
        self._path(number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06}.json"

    def _files(self, *, damaged: bool = False) -> list[tuple[int, Path]]:
        try:
            paths = list(self._folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unusable("read", self._folder, error) from error
        known = [(_number_of(path.name, damaged), path) for path in paths]
        return sorted((number, path) for number, path in known if number is not None)

    def _set_aside(self, path: Path, error: Exception) -> str:
        aside = path.with_name(path.name + DAMAGED)
        try:
            path.replace(aside)
        except OSError:
            aside = path
        return (
            f"a rollout cannot be read and is not gone on with: {aside}: {error}. Its route stays "
            "as it is; see `reshore route show`"
        )


def encoded(kept: Kept) -> bytes:
    """A rollout as its file has it."""
    body = msgspec.json.encode(kept)
    digest = hashlib.sha256(body).hexdigest()
    return msgspec.json.encode(_File(format=FORMAT, sha256=digest, rollout=Raw(body))) + b"\n"


def _decoded(data: bytes, number: int) -> Kept:
    file = msgspec.json.decode(data, type=_File)
    if file.format != FORMAT:
        raise ValueError(f"its format is {file.format}, and only {FORMAT} is known here")
    if hashlib.sha256(file.rollout).hexdigest() != file.sha256:
        raise ValueError("its content is not what was written")
    kept = msgspec.json.decode(file.rollout, type=Kept)
    if kept.number != number:
        raise ValueError(f"it holds rollout {kept.number}")
    kept.goal()  # its policies can be read, and its step is one of its plan
    return kept


def _number_of(name: str, damaged: bool) -> int | None:
    stem, dot, kind = (name.removesuffix(DAMAGED) if damaged else name).partition(".")
    return int(stem) if dot and kind == "json" and stem.isascii() and stem.isdigit() else None


def _unusable(what: str, path: Path, error: OSError) -> HistoryError:
    return HistoryError(
        f"a rollout cannot be {what}: {path}: {error.strerror or error}. The routes stay as they "
        "are."
    )
