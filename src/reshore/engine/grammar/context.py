"""What the writers of values, objects and arrays share while one schema is compiled."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from reshore.checks.references import Document
from reshore.checks.schema_shape import Path
from reshore.checks.validator import Validator
from reshore.engine.grammar.anything import Json
from reshore.engine.grammar.gbnf import Ref, Rules
from reshore.engine.grammar.goals import Item


class Keyword(Struct, frozen=True, order=True):
    """A keyword that a grammar does not enforce; `path` leads to its schema (`properties.a`)."""

    path: str
    name: str


class Context(Protocol):
    """The compiler, as the writers see it."""

    document: Document
    rules: Rules
    json: Json
    validator: Validator  # of the whole document, on the account of the rules

    def compile(self, items: tuple[Item, ...]) -> Ref:
        """The rule for values that satisfy all `items`."""
        ...

    def report(self, path: Path, name: str) -> None:
        """Note that keyword `name` of the schema at `path` is not enforced."""
        ...
