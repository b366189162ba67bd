"""Arrays: a prefix of given items, then items alike, between two counts."""

from __future__ import annotations

from collections.abc import Sequence

from reshore.checks.schema_shape import Path
from reshore.engine.grammar.context import Context
from reshore.engine.grammar.gbnf import EMPTY, MAX_REPEAT, NOTHING, Expr, opt, seq
from reshore.engine.grammar.goals import Item, Node

_NO_GRAMMAR = ("contains", "unevaluatedItems")


def write_array(context: Context, nodes: Sequence[Node]) -> Expr:
    """Arrays that satisfy all nodes.

    Where `prefixItems` stands without `items`, no more items follow than `minItems` demands.
    """
    low, high = _counts(context, nodes)
    prefix = max((len(node.schema.get("prefixItems", ())) for node in nodes), default=0)
    closed = prefix > 0 and not any("items" in node.schema for node in nodes)
    if closed:
        high = max(low, prefix) if high is None else min(high, max(low, prefix))
    for node in nodes:
        for name in _NO_GRAMMAR:
            if name in node.schema:
                context.report(node.path, name)
        if node.schema.get("uniqueItems") is True and (high is None or high > 1):
            context.report(node.path, "uniqueItems")
    if high is not None and low > high:
        return NOTHING
    if not prefix and (low, high) == (0, None) and not _items_at(nodes, 0):
        return context.json.array()
    body = _first(context, nodes, prefix, low, high)
    return context.json.brackets(body, may_be_empty=low == 0)


def _counts(context: Context, nodes: Sequence[Node]) -> tuple[int, int | None]:
    low, high = 0, None
    low_path: Path = ()
    high_path: Path = ()
    for node in nodes:
        least = int(node.schema.get("minItems", 0))
        most = node.schema.get("maxItems")
        if least > low:
            low, low_path = least, node.path
        if most is not None and (high is None or most < high):
            high, high_path = int(most), node.path
    if high is not None and high > MAX_REPEAT:
        context.report(high_path, "maxItems")
        high = None
    if low > MAX_REPEAT:
        context.report(low_path, "minItems")
        low = MAX_REPEAT
    return low, high


def _items_at(nodes: Sequence[Node], index: int) -> tuple[Item, ...]:
    found: list[Item] = []
    for node in nodes:
        if index < len(node.schema.get("prefixItems", ())):
            found.append(((*node.path, "prefixItems", index), "all"))
        elif "items" in node.schema:
            found.append(((*node.path, "items"), "all"))
    return tuple(found)


def _item(context: Context, nodes: Sequence[Node], index: int) -> Expr:
    items = _items_at(nodes, index)
    return context.compile(items) if items else context.json.value()


def _first(
    context: Context, nodes: Sequence[Node], prefix: int, low: int, high: int | None
) -> Expr:
    """One or more items; written from the end, each optional tail under its own name."""
    if high == 0:
        return EMPTY
    prefix = prefix if high is None else min(prefix, high)
    rest = None if high is None else high - max(prefix, 1)
    tail: Expr = EMPTY
    if rest != 0:
        repeated = context.json.after_comma(_item(context, nodes, prefix))
        tail = context.rules.repeat(repeated, max(0, low - max(prefix, 1)), rest)
    for index in range(prefix - 1, 0, -1):
        step = seq(context.json.after_comma(_item(context, nodes, index)), tail)
        tail = step if index < low else opt(context.rules.define(step))
    return seq(_item(context, nodes, 0), tail)
