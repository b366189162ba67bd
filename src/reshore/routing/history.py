"""All versions of the routes, kept in files: `RESHORE_HOME/routes/`.

`000012.json` is version 12, written once and never changed; `current` holds the number of the
version in force. Each of them is complete or absent, also after a power failure, and a version is
on the disk before `current` names it: whenever a process is killed, the old version or the new one
is in force.

Whoever writes here holds the lock of RESHORE_HOME.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from msgspec import Raw, Struct

from reshore.errors import ConfigError, HistoryError, RouteNotFound
from reshore.models.disk import write_atomic
from reshore.routing.snapshot import Snapshot, Written, unwritten, written

FORMAT = 1
CURRENT = "current"


class _File(Struct, frozen=True, kw_only=True):
    """What stands in a version's file. `sha256` is that of the bytes of `snapshot`."""

    format: int
    sha256: str = ""
    snapshot: Raw = Raw()


class Damaged(Struct, frozen=True, kw_only=True):
    """A version whose file cannot be read.

    Attributes:
        problem: names the file and says what is wrong with it.
    """

    number: int
    problem: str


class History:
    """The versions in a folder. Nothing is read before it is asked for.

    Belongs to one thread at a time.

    Args:
        folder: is made with the first version.
        write: replaces a file atomically and durably.
    """

    def __init__(self, folder: Path, write: Callable[[Path, bytes], None] = write_atomic) -> None:
        self._folder = folder
        self._write = write
        self._last: int | None = None

    def numbers(self) -> list[int]:
        """The versions that have a file, oldest first.

        Raises:
            HistoryError: the folder cannot be read.
        """
        try:
            names = [path.name for path in self._folder.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unusable("read", self._folder, error) from error
        return sorted(number for name in names if (number := _number_of(name)) is not None)

    def current(self) -> tuple[Snapshot, list[str]]:
        """The version in force, and what is wrong with the files that should have told.

        Where `current` or its version cannot be read, that is the newest one before it that can.

        Raises:
            HistoryError: the folder cannot be read.
        """
        problems: list[str] = []
        below = self._pointed(problems)
        if below == 0:
            return Snapshot(), problems
        for version in self.newest():
            if below is not None and version.number > below:
                continue
            if isinstance(version, Snapshot):
                if below is not None and version.number < below and not problems:
                    problems.append(f"{self.path(below)} is missing")
                return version, problems
            problems.append(version.problem)
        return Snapshot(), problems

    def read(self, number: int) -> Snapshot:
        """One version.

        Raises:
            RouteNotFound: there is no such version.
            HistoryError: its file is damaged; names it.
        """
        if number == 0:
            return Snapshot()
        path = self.path(number)
        try:
            return _decoded(path.read_bytes(), number)
        except FileNotFoundError as error:
            raise RouteNotFound(
                f"there is no version {number} of the routes; see `reshore route history`"
            ) from error
        except OSError as error:
            raise _unusable("read", path, error) from error
        except (ConfigError, ValueError, RecursionError) as error:
            raise HistoryError(f"{path} is damaged ({error}); use another version") from error

    def newest(self) -> Iterator[Snapshot | Damaged]:
        """All versions, newest first, each read when its turn has come."""
        for number in reversed(self.numbers()):
            try:
                yield self.read(number)
            except HistoryError as error:
                yield Damaged(number=number, problem=str(error))

    def next_number(self) -> int:
        """The number that the next version gets; those of damaged files are not used again."""
        if self._last is None:
            self._last = max(self.numbers(), default=0)
        return self._last + 1

    def append(self, snapshot: Snapshot) -> None:
        """Put a version into the history, and into force.

        Raises:
            HistoryError: it could not be written, and the version before stays in force.
        """
        path, current = self.path(snapshot.number), self._folder / CURRENT
        if path.exists():
            raise HistoryError(f"{path} exists already; a version is never changed")
        try:
            self._write(path, _encoded(snapshot))
            self._last = snapshot.number
            self._write(current, b"%d\n" % snapshot.number)
        except OSError as error:
            # Replaced, though its folder could not be synced: the next start will find it so.
            if self._pointed([]) != snapshot.number:
                raise _unusable("written", self._folder, error) from error

    def path(self, number: int) -> Path:
        """The file of a version."""
        return self._folder / f"{number:06}.json"

    def _pointed(self, problems: list[str]) -> int | None:
        """The number in `current`; None where it does not tell. 0 in a history without versions."""
        path = self._folder / CURRENT
        try:
            return int(path.read_bytes())
        except FileNotFoundError:
            if not self.numbers():
                return 0
            problems.append(f"{path} is missing")
        except ValueError:
            problems.append(f"{path} is damaged: it holds no number")
        except OSError as error:
            problems.append(str(_unusable("read", path, error)))
        return None


def _encoded(snapshot: Snapshot) -> bytes:
    body = msgspec.json.format(msgspec.json.encode(written(snapshot)), indent=2)
    digest = hashlib.sha256(body).hexdigest()
    return msgspec.json.encode(_File(format=FORMAT, sha256=digest, snapshot=Raw(body))) + b"\n"


def _decoded(data: bytes, number: int) -> Snapshot:
    file = msgspec.json.decode(data, type=_File)
    if file.format != FORMAT:
        raise ValueError(f"its format is {file.format}, and only {FORMAT} is known here")
    if hashlib.sha256(file.snapshot).hexdigest() != file.sha256:
        raise ValueError("its content is not what was written")
    snapshot = unwritten(msgspec.json.decode(file.snapshot, type=Written))
    if snapshot.number != number:
        raise ValueError(f"it holds version {snapshot.number}")
    return snapshot


def _number_of(name: str) -> int | None:
    stem, dot, kind = name.partition(".")
    return int(stem) if dot and kind == "json" and stem.isascii() and stem.isdigit() else None


def _unusable(what: str, path: Path, error: OSError) -> HistoryError:
    return HistoryError(
        f"the history of the routes cannot be {what}: {path}: {error.strerror or error}. "
        "The routes in force stay as they are."
    )
