"""What is still to be written: conjunctions of schemas, by their place in the document.

A goal is a set of schemas that one value must satisfy at once. `allOf` and `$ref` widen it, `anyOf`
and `oneOf` split it, and what is left are plain keywords. Because goals are sets of places in a
finite document, recursion ends in goals that are known already.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from reshore.checks.references import Document
from reshore.checks.schema_shape import Path, under
from reshore.errors import RequestError

# `$ref` and `allOf` followed without passing a value.
MAX_HOPS = 128
NEVER: dict[str, Any] = {"not": True}

Aspect = Literal["all", "own", "anyOf", "oneOf", "object", "never"]
Item = tuple[Path, Aspect]
Choice = tuple[Path, Literal["anyOf", "oneOf"]]


class Node(Struct, frozen=True):
    """A schema whose own keywords count here; its combinators are handled elsewhere."""

    path: Path
    schema: dict[str, Any]


class Goal(Struct, frozen=True):
    """Schemas to satisfy at once: `own` keywords, then one alternative of each choice."""

    own: tuple[Item, ...]
    choices: tuple[Choice, ...]

    @property
    def key(self) -> frozenset[Item]:
        """Equal for goals that mean the same."""
        return frozenset((*self.own, *self.choices))


def flatten(document: Document, items: tuple[Item, ...]) -> Goal:
    """Follow `$ref` and `allOf` until only own keywords and choices are left.

    Raises:
        RequestError: a schema refers to itself without passing a value.
    """
    found: dict[Item, None] = {}
    done: set[Path] = set()

    def visit(path: Path, active: tuple[Path, ...]) -> None:
        if path in active or len(active) > MAX_HOPS:
            raise _endless(document, path)
        if path in done:
            return
        done.add(path)
        schema = document.at(path)
        if isinstance(schema, bool):
            if not schema:
                found[(path, "never")] = None
            return
        if "$ref" in schema:
            visit(document.resolve(path), (*active, path))
        for index in range(len(schema.get("allOf", ()))):
            visit((*path, "allOf", index), (*active, path))
        if schema.keys() - _NOT_OWN:
            found[(path, "own")] = None
        found.update(dict.fromkeys((path, name) for name in _CHOICES if name in schema))

    for path, aspect in items:
        if aspect == "all":
            visit(path, ())
        else:
            found[(path, aspect)] = None
    choices = tuple((path, kind) for path, kind in found if kind == "anyOf" or kind == "oneOf")
    split = set(choices)
    return Goal(tuple(item for item in found if item not in split), choices)


def node_of(document: Document, item: Item) -> Node:
    """The plain keywords that an item stands for."""
    path, aspect = item
    if aspect == "object":
        return Node(path, {"type": "object"})
    return Node(path, NEVER if aspect == "never" else document.at(path))


_CHOICES: tuple[Literal["anyOf", "oneOf"], ...] = ("anyOf", "oneOf")
# Annotations and what `flatten` takes care of: a schema with only these says nothing of its own.
COMBINATORS = frozenset(("$ref", "allOf", "anyOf", "oneOf"))
_NOT_OWN = COMBINATORS | frozenset(
    (
        "$schema",
        "$id",
        "$anchor",
        "$dynamicAnchor",
        "$comment",
        "$vocabulary",
        "$defs",
        "definitions",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "then",
        "else",
        "minContains",
        "maxContains",
    )
)


def _endless(document: Document, path: Path) -> RequestError:
    where = under(document.param, path)
    return RequestError(
        f"Invalid JSON Schema: {where} refers to itself without an object or array in between, "
        f"or through more than {MAX_HOPS} references.",
        param=where,
    )
