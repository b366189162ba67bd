"""From the name a client sends to the name of an installed model. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from reshore.routing.patterns import Patterns


class Aliases:
    """The `[aliases]` table: exact names and globs (`ft:gpt-4o-mini:*`), found as in `Patterns`.

    An alias leads to a model, never to another alias.
    """

    def __init__(self, table: Mapping[str, str]) -> None:
        self.table = table
        self._models = Patterns(table.items())

    def resolve(self, name: str) -> str:
        """The model that `name` stands for; `name` itself when no alias matches."""
        return self._models.find(name) or name

    def names(self) -> tuple[tuple[str, str], ...]:
        """Every exact alias with its model, for model lists."""
        return tuple(self._models.exact())
