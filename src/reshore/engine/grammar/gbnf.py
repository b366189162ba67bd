"""GBNF, llama.cpp's grammar notation: expressions, named rules, and their text.

Rules are few and flat: the engine parses groups recursively and dies of 60,000 nested ones, so
whatever repeats or nests becomes a named rule. Expressions that no finite text matches are pruned
before anything is written, which is how `false` schemas disappear from where they are optional.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from msgspec import Struct

from reshore.checks.validator import Work
from reshore.errors import RequestError

# llama.cpp refuses repetitions of 2000 and more (MAX_REPETITION_THRESHOLD).
MAX_REPEAT = 1999


class Lit(Struct, frozen=True):
    """Exactly this text."""

    text: str


class Chars(Struct, frozen=True):
    """One code point out of inclusive ranges."""

    ranges: tuple[tuple[int, int], ...]


class Ref(Struct, frozen=True):
    """A named rule."""

    name: str


class Seq(Struct, frozen=True):
    """One after the other; empty: the empty text."""

    parts: tuple[Expr, ...]


class Alt(Struct, frozen=True):
    """One of several; empty: nothing matches."""

    options: tuple[Expr, ...]


class Rep(Struct, frozen=True):
    """Between `low` and `high` (None: any number) times; the body never matches the empty text."""

    body: Expr
    low: int
    high: int | None


Expr = Lit | Chars | Ref | Seq | Alt | Rep

EMPTY = Seq(())
NOTHING = Alt(())


def seq(*parts: Expr) -> Expr:
    """A sequence, flattened."""
    flat: list[Expr] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Seq) else [part])
    return flat[0] if len(flat) == 1 else Seq(tuple(flat))


def alt(*options: Expr) -> Expr:
    """A choice, flattened, without duplicates."""
    flat: dict[Expr, None] = {}
    for option in options:
        flat.update(dict.fromkeys(option.options if isinstance(option, Alt) else [option]))
    return next(iter(flat)) if len(flat) == 1 else Alt(tuple(flat))


def opt(body: Expr) -> Expr:
    """`body`, or the empty text."""
    return EMPTY if body == EMPTY else Rep(body, 0, 1)


class Rules:
    """Named rules under construction, with a budget.

    Args:
        limit_bytes: of the grammar's text; more is refused while building, not after.
        param: the field of the request that is to blame.
        prefix: with which fresh names begin.
    """

    def __init__(self, *, limit_bytes: int, param: str, prefix: str = "r") -> None:
        self.param = param
        self._prefix = prefix
        self.work = Work()  # all schemas of a request share it
        self._limit_bytes = limit_bytes
        self._spent_bytes = 0
        self._rules: dict[str, Expr] = {}
        self._count = 0

    def __contains__(self, name: str) -> bool:
        return name in self._rules

    def reserve(self) -> Ref:
        """A fresh name, to be filled later: how recursion is written."""
        self._count += 1
        return Ref(f"{self._prefix}{self._count}")

    def fill(self, ref: Ref, body: Expr) -> Ref:
        """Give a reserved or well-known name its body.

        Raises:
            RequestError: the grammar grows over its limit.
        """
        self._rules[ref.name] = body
        self._spent_bytes += len(ref.name) + 6 + _size(body)
        if self._spent_bytes > self._limit_bytes:
            raise RequestError(
                f"The grammar for {self.param} would take more than {self._limit_bytes} bytes. "
                "Simplify the schema, or raise `limits.grammar_bytes`.",
                param=self.param,
            )
        return ref

    def define(self, body: Expr) -> Ref:
        """`body` under a fresh name, or itself if it is a name already."""
        return body if isinstance(body, Ref) else self.fill(self.reserve(), body)

    def repeat(self, body: Expr, low: int, high: int | None) -> Expr:
        """`body` repeated; what is not a single symbol gets a name first."""
        if high == 0 or body == NOTHING:
            return EMPTY if low == 0 else NOTHING
        if (low, high) == (1, 1):
            return body
        return Rep(body if isinstance(body, Ref | Chars) else self.define(body), low, high)

    def one_of(self, texts: list[str]) -> Expr:
        """One of several literals, as a tree of their common beginnings.

        The engine tries all alternatives at once, at every token: thousands that begin alike
        would stop it for seconds.
        """
        if len(texts) == 1:
            return Lit(texts[0])
        first, last = min(texts), max(texts)
        shared = len(first)
        while not last.startswith(first[:shared]):
            shared -= 1
        groups: defaultdict[str, list[str]] = defaultdict(list)
        for text in dict.fromkeys(text[shared:] for text in texts):
            groups[text[:1]].append(text)
        branches = [self.one_of(group) if start else EMPTY for start, group in groups.items()]
        tree = alt(*branches)
        return seq(Lit(texts[0][:shared]), self.define(tree)) if shared else tree

    def require(self, wanted: dict[str, Ref]) -> None:
        """Make sure that each rule matches some finite text.

        Raises:
            RequestError: with the field, the key in `wanted`, of the first that does not.
        """
        alive = _productive(self._rules)
        for param, ref in wanted.items():
            if ref.name not in alive:
                raise _unsatisfiable(param)

    def text(self, root: Expr) -> str:
        """The grammar whose `root` is given, without dead rules.

        Raises:
            RequestError: no finite text matches.
        """
        rules = {**self._rules, "root": root}
        alive = _productive(rules)
        if "root" not in alive:
            raise _unsatisfiable(self.param)
        pruned = {name: _prune(rules[name], alive) for name in alive}
        short = {name: _shorten(Ref(name), pruned) for name in pruned}
        return "".join(
            f"{name} ::= {_render(pruned[name], short)}\n" for name in _reachable(pruned, short)
        )


def _unsatisfiable(param: str) -> RequestError:
    return RequestError(
        f"No JSON value can satisfy {param}: its requirements contradict each other or never end.",
        param=param,
    )


def _children(expr: Expr) -> tuple[Expr, ...]:
    match expr:
        case Seq(parts) | Alt(parts):
            return parts
        case Rep(body):
            return (body,)
        case _:
            return ()


def _refs(expr: Expr) -> Iterator[str]:
    if isinstance(expr, Ref):
        yield expr.name
    for child in _children(expr):
        yield from _refs(child)


def _productive(rules: dict[str, Expr]) -> set[str]:
    """Names of the rules that match at least one finite text, to a fixed point."""
    users: defaultdict[str, list[str]] = defaultdict(list)
    for name, body in rules.items():
        for used in set(_refs(body)):
            users[used].append(name)
    alive: set[str] = set()
    waiting = list(rules)
    while waiting:
        touched: dict[str, None] = {}  # each once: a long rule may wait for many
        for name in waiting:
            if _can_end(rules[name], alive):
                alive.add(name)
                touched.update(dict.fromkeys(users[name]))
        waiting = [name for name in touched if name not in alive]
    return alive


def _can_end(expr: Expr, alive: set[str]) -> bool:
    match expr:
        case Ref(name):
            return name in alive
        case Seq(parts):
            return all(_can_end(part, alive) for part in parts)
        case Alt(options):
            return any(_can_end(option, alive) for option in options)
        case Rep(body, low):
            return low == 0 or _can_end(body, alive)
        case Chars(ranges):
            return bool(ranges)
        case Lit():
            return True


def _prune(expr: Expr, alive: set[str]) -> Expr:
    match expr:
        case Seq(parts):
            return seq(*[_prune(part, alive) for part in parts])
        case Alt(options):
            return alt(*[_prune(option, alive) for option in options if _can_end(option, alive)])
        case Rep(body, low, high):
            return Rep(_prune(body, alive), low, high) if _can_end(body, alive) else EMPTY
        case _:
            return expr


def _shorten(ref: Ref, rules: dict[str, Expr]) -> str:
    """The name at the end of a chain of rules that only name the next."""
    seen = {ref.name}
    while isinstance(body := rules[ref.name], Ref) and body.name not in seen:
        ref = body
        seen.add(ref.name)
    return ref.name


def _reachable(rules: dict[str, Expr], short: dict[str, str]) -> list[str]:
    found: dict[str, None] = {"root": None}
    todo = ["root"]
    while todo:
        for name in _refs(rules[todo.pop()]):
            target = short[name]
            if target not in found:
                found[target] = None
                todo.append(target)
    return list(found)


def _size(expr: Expr) -> int:
    match expr:
        case Lit(text):
            return len(text) + 3
        case Chars(ranges):
            return 6 * len(ranges) + 2
        case Ref(name):
            return len(name) + 1
        case _:
            return 4 + sum(_size(child) for child in _children(expr))


def _render(expr: Expr, short: dict[str, str]) -> str:
    match expr:
        case Lit(text):
            return '"' + "".join(_escape(ord(char), '"\\') for char in text) + '"'
        case Chars(ranges):
            return "[" + "".join(_range(low, high) for low, high in ranges) + "]"
        case Ref(name):
            return short[name]
        case Seq(parts):
            return " ".join(_part(part, short) for part in parts) or '""'
        case Alt(options):
            return " | ".join(_render(option, short) for option in options)
        case Rep(body, low, high):
            return _atom(body, short) + _times(low, high)


def _atom(expr: Expr, short: dict[str, str]) -> str:
    text = _render(expr, short)
    return f"({text})" if isinstance(expr, Alt | Seq | Rep) else text


def _part(expr: Expr, short: dict[str, str]) -> str:
    return _render(expr, short) if isinstance(expr, Rep) else _atom(expr, short)


def _times(low: int, high: int | None) -> str:
    signs = {(0, 1): "?", (0, None): "*", (1, None): "+"}
    if (low, high) in signs:
        return signs[low, high]
    return f"{{{low}}}" if low == high else f"{{{low},{'' if high is None else high}}}"


def _range(low: int, high: int) -> str:
    first = _escape(low, _IN_CLASS)
    return first if low == high else f"{first}-{_escape(high, _IN_CLASS)}"


_IN_CLASS = '[]^-\\"'
_NAMED = '"\\[]'


def _escape(code: int, special: str) -> str:
    character = chr(code)
    if character in special:
        return f"\\{character}" if character in _NAMED else f"\\x{code:02X}"
    if 0x20 <= code < 0x7F:
        return character
    if code <= 0xFF:
        return f"\\x{code:02X}"
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
