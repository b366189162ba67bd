"""Whether the alternatives of a `oneOf` exclude each other, so that a choice enforces it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import msgspec

from reshore.checks.references import Document
from reshore.checks.schema_shape import Path
from reshore.engine.grammar.goals import Item, Node, flatten, node_of
from reshore.engine.grammar.values import types_of

# Pairs grow with the square; beyond this many alternatives the answer is "not proven".
MAX_ALTERNATIVES = 64


class _Facts(msgspec.Struct, frozen=True):
    """What is certain about an alternative: kinds, listed values, and those of its members."""

    kinds: frozenset[str]
    values: frozenset[str] | None
    members: dict[str, frozenset[str]]


def are_disjoint(document: Document, places: Sequence[Path]) -> bool:
    """Whether no value can satisfy two of the schemas at `places`; False if in doubt."""
    if len(places) > MAX_ALTERNATIVES:
        return False
    facts = [_facts(document, place) for place in places]
    return all(_exclude(one, other) for one, other in combinations(facts, 2))


def _own(document: Document, place: Path) -> list[Node]:
    items: tuple[Item, ...] = ((place, "all"),)
    return [node_of(document, item) for item in flatten(document, items).own]


def _facts(document: Document, place: Path) -> _Facts:
    nodes = _own(document, place)
    kinds = frozenset.intersection(types_of({}), *[types_of(node.schema) for node in nodes])
    required = {name for node in nodes for name in node.schema.get("required", ())}
    members: dict[str, frozenset[str]] = {}
    for node in nodes:
        for name in node.schema.get("properties", {}):
            inside = _own(document, (*node.path, "properties", name)) if name in required else []
            values = _values(inside)
            if values is not None:
                members[name] = values
    return _Facts(kinds, _values(nodes), members)


def _values(nodes: Sequence[Node]) -> frozenset[str] | None:
    for node in nodes:
        if "const" in node.schema:
            return frozenset([_text(node.schema["const"])])
        if "enum" in node.schema:
            return frozenset(_text(value) for value in node.schema["enum"])
    return None


def _text(value: Any) -> str:
    """A text that is equal for equal JSON values (1 and 1.0 are equal)."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return msgspec.json.encode(value, order="sorted").decode()


def _exclude(one: _Facts, other: _Facts) -> bool:
    if not one.kinds & other.kinds:
        return True
    if one.values is not None and other.values is not None and not one.values & other.values:
        return True
    if one.kinds == other.kinds == {"object"}:
        shared = one.members.keys() & other.members.keys()
        return any(not one.members[name] & other.members[name] for name in shared)
    return False
