"""Strings with lengths, patterns and formats."""

from __future__ import annotations

from collections.abc import Sequence

from reshore.checks.formats import UNENFORCED, format_pattern
from reshore.checks.patterns import (
    ALL,
    Cat,
    Many,
    Or,
    Pattern,
    Set,
    UnsafePattern,
    complement,
    length_bounds,
    parse_pattern,
)
from reshore.checks.schema_shape import Path
from reshore.engine.grammar.anything import PLAIN
from reshore.engine.grammar.context import Context
from reshore.engine.grammar.gbnf import (
    EMPTY,
    MAX_REPEAT,
    NOTHING,
    Chars,
    Expr,
    Lit,
    Rules,
    alt,
    seq,
)
from reshore.engine.grammar.goals import Node

_ESCAPES = {0x22: '\\"', 0x5C: "\\\\", 0x08: "\\b", 0x09: "\\t", 0x0A: "\\n"}
_ESCAPES |= {0x0C: "\\f", 0x0D: "\\r"}
_NOT_PLAIN = complement(PLAIN)


def write_string(context: Context, nodes: Sequence[Node]) -> Expr:
    """Strings that satisfy all nodes.

    One pattern or format is enforced, and lengths beside it where they follow from it; without
    one, lengths up to `MAX_REPEAT`. The rest is reported.
    """
    low, high, low_path, high_path = _lengths(nodes)
    patterns = _patterns(context, nodes)
    if not patterns:
        if low == 0 and high is None:
            return context.json.string()
        if high is not None and high > MAX_REPEAT:
            context.report(high_path, "maxLength")
            high = None
        if low > MAX_REPEAT:
            context.report(low_path, "minLength")
            low = MAX_REPEAT
        return _quoted(_counted(context, low, high))
    pattern = patterns[0][2]
    for other_path, other_name, other in patterns[1:]:
        if other != pattern:
            context.report(other_path, other_name)
    pattern = _narrowed(pattern, low, high)
    shortest, longest = length_bounds(pattern)
    if shortest < low:
        context.report(low_path, "minLength")
    if high is not None and (longest is None or longest > high):
        context.report(high_path, "maxLength")
    return write_pattern(context, pattern)


def write_pattern(context: Context, pattern: Pattern) -> Expr:
    """Strings that a pattern matches, with their quotes."""
    return context.rules.define(_quoted(_written(context, pattern)))


def _lengths(nodes: Sequence[Node]) -> tuple[int, int | None, Path, Path]:
    low, high = 0, None
    low_path: Path = ()
    high_path: Path = ()
    for node in nodes:
        least = int(node.schema.get("minLength", 0))
        most = node.schema.get("maxLength")
        if least > low:
            low, low_path = least, node.path
        if most is not None and (high is None or most < high):
            high, high_path = int(most), node.path
    return low, high, low_path, high_path


def _patterns(context: Context, nodes: Sequence[Node]) -> list[tuple[Path, str, Pattern]]:
    found: list[tuple[Path, str, Pattern]] = []
    for node in nodes:
        if "pattern" in node.schema:
            try:
                found.append((node.path, "pattern", parse_pattern(node.schema["pattern"])))
            except UnsafePattern:
                context.report(node.path, "pattern")
        name = node.schema.get("format")
        if name in UNENFORCED:
            context.report(node.path, "format")
        elif name is not None and (pattern := format_pattern(name)):
            found.append((node.path, "format", pattern))
    return found


def _counted(context: Context, low: int, high: int | None) -> Expr:
    if high is not None and low > high:
        return NOTHING
    return EMPTY if high == 0 else context.rules.repeat(context.json.char(), low, high)


def _quoted(body: Expr) -> Expr:
    return seq(Lit('"'), body, Lit('"'))


def _narrowed(pattern: Pattern, low: int, high: int | None) -> Pattern:
    """A pattern that repeats single characters takes the lengths into its own count."""
    inner = pattern
    while isinstance(inner, Cat) and len(inner.parts) == 1:
        inner = inner.parts[0]
    if not isinstance(inner, Many) or not isinstance(inner.body, Set):
        return pattern
    least = max(low, inner.low)
    most = min((end for end in (high, inner.high) if end is not None), default=None)
    if least > MAX_REPEAT or (most is not None and not least <= most <= MAX_REPEAT):
        return pattern
    return Many(inner.body, least, most)


def _written(context: Context, pattern: Pattern) -> Expr:
    match pattern:
        case Set(ranges):
            return context.json.char() if ranges == ALL else _encoded(context.rules, ranges)
        case Cat(parts):
            return seq(*[_written(context, part) for part in parts])
        case Or(options):
            return alt(*[_written(context, option) for option in options])
        case Many(body, low, high):
            return context.rules.repeat(_written(context, body), low, high)


def _encoded(rules: Rules, ranges: tuple[tuple[int, int], ...]) -> Expr:
    """One code point of a set as JSON writes it; control characters only if nothing else is."""
    plain = complement(_NOT_PLAIN, ranges)
    inside = [code for code in _ESCAPES if any(low <= code <= high for low, high in ranges)]
    options: list[Expr] = [Lit(_ESCAPES[code]) for code in inside]
    if plain:
        options.insert(0, Chars(plain))
    if not options:
        controls = [code for low, high in ranges for code in range(low, min(high, 0x1F) + 1)]
        options = [Lit(f"\\u{code:04x}") for code in controls]
    return alt(*options)
