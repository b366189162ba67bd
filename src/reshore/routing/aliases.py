"""From the name a client sends to the name of an installed model."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase


class Aliases:
    """The `[aliases]` table: exact names and globs (`ft:gpt-4o-mini:*`).

    An exact name wins over every glob; among globs the one with the longest literal beginning
    wins, so that `gpt-4o-mini*` is asked before `gpt-*` in whatever order they were written.
    An alias leads to a model, never to another alias.
    """

    def __init__(self, table: Mapping[str, str]) -> None:
        self._exact = {name: model for name, model in table.items() if not _is_glob(name)}
        self._globs = sorted(
            ((name, model) for name, model in table.items() if _is_glob(name)),
            key=lambda entry: (-_literal_length(entry[0]), entry[0]),
        )

    def resolve(self, name: str) -> str:
        """The model that `name` stands for; `name` itself when no alias matches."""
        exact = self._exact.get(name)
        if exact is not None:
            return exact
        for pattern, model in self._globs:
            if fnmatchcase(name, pattern):
                return model
        return name

    def names(self) -> tuple[tuple[str, str], ...]:
        """Every exact alias with its model, for model lists."""
        return tuple(self._exact.items())


def _is_glob(name: str) -> bool:
    return any(mark in name for mark in "*?[")


def _literal_length(pattern: str) -> int:
    return min((i for i, mark in enumerate(pattern) if mark in "*?["), default=len(pattern))
