"""Values found by the names that clients send: exact names and globs. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Generic, TypeVar

T = TypeVar("T")

# Names come from clients: what is remembered of them has an end.
_REMEMBERED = 1024


class Patterns(Generic[T]):
    """A table from patterns to values.

    An exact name wins over every glob; among globs the one with the longest literal beginning
    wins, so that `gpt-4o-mini*` is asked before `gpt-*` in whatever order they were written.
    Names that a glob matched are remembered, so that finding one costs no more than an exact one.
    Owned by one event loop.
    """

    def __init__(self, entries: Iterable[tuple[str, T]]) -> None:
        table = dict(entries)
        self._exact = {name: value for name, value in table.items() if not is_glob(name)}
        self._globs = sorted(
            ((name, value) for name, value in table.items() if is_glob(name)),
            key=lambda entry: (-_literal_length(entry[0]), entry[0]),
        )
        self._found: dict[str, T | None] = {}

    def find(self, name: str) -> T | None:
        """The value of the pattern that fits best; None where none does."""
        exact = self._exact.get(name)
        if exact is not None or not self._globs:
            return exact
        if name in self._found:
            return self._found[name]
        if len(self._found) >= _REMEMBERED:
            self._found.clear()
        found = self._found[name] = self._search(name)
        return found

    def exact(self) -> Iterable[tuple[str, T]]:
        """The entries that are no globs, as they were written."""
        return self._exact.items()

    def _search(self, name: str) -> T | None:
        return next((value for glob, value in self._globs if fnmatchcase(name, glob)), None)


def is_glob(name: str) -> bool:
    """Whether a pattern stands for several names."""
    return any(mark in name for mark in "*?[")


def _literal_length(pattern: str) -> int:
    return min((i for i, mark in enumerate(pattern) if mark in "*?["), default=len(pattern))
