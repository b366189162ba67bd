"""Objects: declared members in their order, optional ones left out at will, then any others."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from reshore.checks.patterns import Pattern, UnsafePattern, complement, full_match, parse_pattern
from reshore.checks.schema_shape import Path
from reshore.engine.grammar.anything import PLAIN, literal
from reshore.engine.grammar.context import Context
from reshore.engine.grammar.gbnf import (
    EMPTY,
    NOTHING,
    Chars,
    Expr,
    Lit,
    Ref,
    Rep,
    alt,
    opt,
    seq,
)
from reshore.engine.grammar.goals import Item, Node
from reshore.engine.grammar.strings import write_pattern

_NO_GRAMMAR = ("dependentSchemas", "unevaluatedProperties")


class _Member(Struct, frozen=True):
    text: Expr
    required: bool


class _Key(Struct, frozen=True):
    """One entry of `patternProperties`."""

    node: Node
    place: Path
    pattern: Pattern


def write_object(context: Context, nodes: Sequence[Node]) -> Expr:
    """Objects that satisfy all nodes.

    Members come in the order in which the schemas declare them. Where properties are declared and
    `additionalProperties` is absent, there are no others: valid, and kinder to small models.
    """
    names = _names(context, nodes)
    keys = _keys(context, nodes)
    members = [_member(context, nodes, keys, name, must) for name, must in names.items()]
    extra = _extra(context, nodes, keys, names)
    least = _report(context, nodes, names, extra is not None)
    if not members and extra is None:
        return Lit("{}") if least == 0 else NOTHING
    if not members and extra is not None and _is_free(nodes) and least == 0:
        return context.json.object()
    more = NOTHING if extra is None else context.rules.define(extra)
    some_required = any(member.required for member in members)
    if some_required:
        body = _with_required(context, members, more)
    else:
        body = _all_optional(context, members, more)
    return context.json.braces(body, may_be_empty=not some_required and least == 0)


def _is_free(nodes: Sequence[Node]) -> bool:
    return all(
        node.schema.get("additionalProperties", True) in (True, {})
        and "patternProperties" not in node.schema
        for node in nodes
    )


def _names(context: Context, nodes: Sequence[Node]) -> dict[str, bool]:
    """Names that may appear, in order, and whether they must."""
    names: dict[str, bool] = {}
    for node in nodes:
        names.update(dict.fromkeys(node.schema.get("properties", {}), False))
    for node in nodes:
        names.update(dict.fromkeys(node.schema.get("required", ()), True))
    rules = [node.schema["propertyNames"] for node in nodes if "propertyNames" in node.schema]
    if rules:
        checks = [context.validator.evolve(schema=rule) for rule in rules]
        bad = [name for name in names if not all(check.is_valid(name) for check in checks)]
        return {name: must for name, must in names.items() if must or name not in bad}
    return names


def _member(
    context: Context, nodes: Sequence[Node], keys: Sequence[_Key], name: str, required: bool
) -> _Member:
    spend = context.rules.work.spend
    spend(len(nodes))
    matching = [key for key in keys if full_match(key.pattern, name, spend)]
    covered = [key.node for key in matching]
    items: list[Item] = [(key.place, "all") for key in matching]
    for node in nodes:
        if name in node.schema.get("properties", {}):
            items.append(((*node.path, "properties", name), "all"))
        elif "additionalProperties" in node.schema and node not in covered:
            items.append(((*node.path, "additionalProperties"), "all"))
    value = context.compile(tuple(items)) if items else context.json.value()
    return _Member(context.json.member(literal(name), value), required)


def _keys(context: Context, nodes: Sequence[Node]) -> list[_Key]:
    """The `patternProperties` that can be enforced; others are reported."""
    found: list[_Key] = []
    for node in nodes:
        for text in node.schema.get("patternProperties", {}):
            try:
                place = (*node.path, "patternProperties", text)
                found.append(_Key(node, place, parse_pattern(text)))
            except UnsafePattern:
                context.report(node.path, "patternProperties")
    return found


def _extra(
    context: Context, nodes: Sequence[Node], keys: Sequence[_Key], names: dict[str, bool]
) -> Expr | None:
    """A member that is not declared; None where there may be none."""
    if any("patternProperties" in node.schema for node in nodes):
        return _patterned(context, nodes, keys, names)
    declared = any("properties" in node.schema for node in nodes)
    given = [node for node in nodes if "additionalProperties" in node.schema]
    if (declared and not given) or any(
        node.schema["additionalProperties"] is False for node in given
    ):
        return None
    items: tuple[Item, ...] = tuple(((*node.path, "additionalProperties"), "all") for node in given)
    value = context.json.value(1) if _is_free(given) else context.compile(items)
    return context.json.member(_other_key(context, list(names)), value)


def _patterned(
    context: Context, nodes: Sequence[Node], keys: Sequence[_Key], names: dict[str, bool]
) -> Expr | None:
    """Members whose key is made from a pattern that no declared name matches."""
    spend = context.rules.work.spend
    usable = [
        key for key in keys if not any(full_match(key.pattern, name, spend) for name in names)
    ]
    for key in usable if len(keys) > 1 else ():
        context.report(key.node.path, "patternProperties")  # a key may match two patterns
    options = []
    for key in usable:
        others = [n for n in nodes if n != key.node and "additionalProperties" in n.schema]
        items: list[Item] = [(key.place, "all")]
        items += [
            ((*node.path, "additionalProperties"), "all") for node in others if node != key.node
        ]
        text = write_pattern(context, key.pattern)
        options.append(context.json.member(text, context.compile(tuple(items))))
    return alt(*options) if options else None


def _report(context: Context, nodes: Sequence[Node], names: dict[str, bool], is_open: bool) -> int:
    """Report what is not enforced; returns 1 if the object must not be empty, else 0."""
    required = sum(names.values())
    least = 0
    for node in nodes:
        schema = node.schema
        if int(schema.get("minProperties", 0)) > max(1, required):
            context.report(node.path, "minProperties")
        least = max(least, min(1, int(schema.get("minProperties", 0))))
        most = schema.get("maxProperties")
        if most is not None and (is_open or most < len(names)):
            context.report(node.path, "maxProperties")
        if is_open and "propertyNames" in schema:
            context.report(node.path, "propertyNames")
        for name in _NO_GRAMMAR:
            if name in schema and not _is_closed_alone(nodes, name, is_open):
                context.report(node.path, name)
        _report_dependents(context, node.path, schema.get("dependentRequired", {}), names, is_open)
    return least


def _is_closed_alone(nodes: Sequence[Node], name: str, is_open: bool) -> bool:
    """Whether every member is one that this only schema declares itself."""
    return name == "unevaluatedProperties" and len(nodes) == 1 and not is_open


def _report_dependents(
    context: Context,
    path: Path,
    dependents: dict[str, list[str]],
    names: dict[str, bool],
    is_open: bool,
) -> None:
    for trigger, needed in dependents.items():
        possible = trigger in names or is_open
        if possible and not all(names.get(name, False) for name in needed):
            context.report(path, "dependentRequired")


def _with_required(context: Context, members: Sequence[_Member], more: Expr) -> Expr:
    """Optional members before the first required one carry their comma behind them."""
    first = next(index for index, member in enumerate(members) if member.required)
    before = [opt(seq(member.text, Lit(","), context.json.blank())) for member in members[:first]]
    return seq(*before, members[first].text, _tail(context, members[first + 1 :], more))


def _tail(context: Context, members: Sequence[_Member], more: Expr) -> Expr:
    """What may follow a member."""
    parts: list[Expr] = []
    for member in members:
        step = context.json.after_comma(member.text)
        parts.append(step if member.required else opt(step))
    if more != NOTHING:
        parts.append(context.rules.repeat(context.json.after_comma(more), 0, None))
    return seq(*parts)


def _all_optional(context: Context, members: Sequence[_Member], more: Expr) -> Expr:
    """At least one member: each may be the first, then those behind it may follow."""
    tail = _tail(context, (), more)
    first = NOTHING if more == NOTHING else seq(more, tail)
    for member in reversed(members):
        tail = context.rules.define(tail) if tail != EMPTY else EMPTY
        first = alt(
            seq(member.text, tail), context.rules.define(first) if first != NOTHING else first
        )
        tail = seq(opt(context.json.after_comma(member.text)), tail)
    return first


def _other_key(context: Context, names: Sequence[str]) -> Expr:
    """A key that is none of `names`, written without escapes so that none can be spelled."""
    if not names:
        return context.json.string()
    plain = context.rules.define(Chars(PLAIN))
    anything = Rep(plain, 0, None)
    tree = _Branch()
    for name in names:
        tree.add(name)
    return seq(Lit('"'), tree.others(context, anything), Lit('"'))


class _Branch:
    """A node of the tree of declared names."""

    def __init__(self) -> None:
        self.children: dict[str, _Branch] = {}
        self.is_name = False

    def add(self, name: str) -> None:
        branch = self
        for character in name:
            branch = branch.children.setdefault(character, _Branch())
        branch.is_name = True

    def others(self, context: Context, anything: Expr) -> Expr:
        """Texts that, from here, lead to no declared name. Iterative: names may be long."""
        order = [self]
        for branch in order:
            order.extend(branch.children.values())
        written: dict[int, Ref] = {}
        for branch in reversed(order):
            taken = tuple((ord(character), ord(character)) for character in branch.children)
            options: list[Expr] = [] if branch.is_name else [EMPTY]
            options.append(seq(Chars(complement(taken, PLAIN)), anything))
            for character, child in branch.children.items():
                if complement(PLAIN, ((ord(character), ord(character)),)) == ():
                    options.append(seq(Lit(character), written[id(child)]))
            written[id(branch)] = context.rules.define(alt(*options))
        return written[id(self)]
