"""From JSON Schema (draft 2020-12) to a GBNF grammar that knows what it does not enforce."""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import Any

from msgspec import Struct

from reshore.checks.json_schema import validator_for
from reshore.checks.references import Document
from reshore.checks.schema_shape import Path, check_schema, dotted, under
from reshore.checks.validator import TooCostly
from reshore.config import LimitsConfig
from reshore.engine.grammar.anything import Json
from reshore.engine.grammar.choices import MAX_ALTERNATIVES, are_disjoint
from reshore.engine.grammar.context import Keyword
from reshore.engine.grammar.gbnf import Expr, Ref, Rules, alt
from reshore.engine.grammar.goals import Goal, Item, flatten, node_of
from reshore.engine.grammar.values import write_value
from reshore.errors import RequestError

# Alternatives inside alternatives: the engine walks these by recursion.
MAX_UNIT_DEPTH = 256
# Distinct combinations of schemas; a product of many anyOf is refused here, in well under a second.
MAX_GOALS = 4096


class Grammar(Struct, frozen=True):
    """A grammar in GBNF, and the keywords of its schema that it lets through unchecked."""

    text: str
    unenforced: tuple[Keyword, ...] = ()


def compile_schema(
    schema: dict[str, Any] | bool, *, limits: LimitsConfig, param: str = "schema"
) -> Grammar:
    """The grammar of all JSON texts that satisfy `schema`, in our canonical form.

    Canonical: members in declared order, blanks bounded, numbers of bounded length, values of any
    shape at most 12 levels deep. What the grammar accepts satisfies every keyword but those in
    `unenforced`; annotations are not keywords.

    Args:
        schema: decoded JSON; it is checked here.
        limits: bounds for the schema and the grammar.
        param: where the request holds the schema, for messages.

    Raises:
        RequestError: the schema is malformed, too large, or cannot be satisfied.
    """
    rules = Rules(limit_bytes=limits.grammar_bytes, param=param)
    root, unenforced = add_schema(rules, schema, limits=limits, param=param)
    return Grammar(rules.text(root), unenforced)


def json_object(*, limits: LimitsConfig) -> Grammar:
    """The grammar of any JSON object."""
    return _json_object(limits.grammar_bytes)


@cache
def _json_object(limit_bytes: int) -> Grammar:
    rules = Rules(limit_bytes=limit_bytes, param="response_format")
    return Grammar(rules.text(Json(rules).object()))


def add_schema(
    rules: Rules,
    schema: dict[str, Any] | bool,
    *,
    limits: LimitsConfig,
    param: str,
    only_objects: bool = False,
) -> tuple[Ref, tuple[Keyword, ...]]:
    """Write a schema into a grammar under construction; the rule for it, and what is unenforced.

    Raises:
        RequestError: as `compile_schema`, but for schemas that cannot be satisfied: those show
            when the text is made.
    """
    check_schema(schema, limits, param=param)
    document = Document(schema, param=param)
    document.check()
    compiler = _Compiler(document, rules)
    items: tuple[Item, ...] = (((), "all"), ((), "object")) if only_objects else (((), "all"),)
    try:
        root = compiler.compile(items)
        compiler.run()
    except (TooCostly, RecursionError) as error:
        raise _too_costly(param) from error
    return root, tuple(sorted(compiler.unenforced))


def _too_costly(param: str) -> RequestError:
    return RequestError(
        f"{param} takes too much work to become a grammar. Simplify it: fewer alternatives, "
        "patterns and listed values that have to fit other parts of the schema.",
        param=param,
    )


class _Compiler:
    """One schema on its way into `rules`; goals wait in a queue, so nothing here recurses deep."""

    def __init__(self, document: Document, rules: Rules) -> None:
        self.document = document
        self.rules = rules
        self.json = Json(rules)
        self.validator = validator_for(document.root, rules.work)
        self.unenforced: set[Keyword] = set()
        self._known: dict[frozenset[Item], Ref] = {}
        self._queue: deque[tuple[Ref, Goal]] = deque()
        self._exclusive: dict[Path, bool] = {}
        self._units: dict[str, tuple[Path, list[str]]] = {}

    def compile(self, items: tuple[Item, ...]) -> Ref:
        goal = flatten(self.document, items)
        self.rules.work.spend(len(items) + len(goal.own) + len(goal.choices))
        if goal.key not in self._known:
            if len(self._known) >= MAX_GOALS:
                raise RequestError(
                    f"{self.document.param} combines its schemas in more than {MAX_GOALS} ways. "
                    "Simplify it: fewer anyOf and oneOf inside allOf.",
                    param=self.document.param,
                )
            self._known[goal.key] = self.rules.reserve()
            self._queue.append((self._known[goal.key], goal))
        return self._known[goal.key]

    def report(self, path: Path, name: str) -> None:
        self.unenforced.add(Keyword(dotted(path), name))

    def run(self) -> None:
        """Write every goal that is reachable."""
        while self._queue:
            ref, goal = self._queue.popleft()
            self.rules.fill(ref, self._body(ref, goal))
        self._check_units()

    def _body(self, ref: Ref, goal: Goal) -> Expr:
        if not goal.choices:
            return write_value(self, [node_of(self.document, item) for item in goal.own])
        (path, kind), *rest = goal.choices
        places: list[Path] = [(*path, kind, i) for i in range(len(self.document.at(path)[kind]))]
        if kind == "oneOf" and not self._is_exclusive(path, places):
            self.report(path, kind)
        options = [self.compile((*goal.own, *rest, (place, "all"))) for place in places]
        self._units[ref.name] = (path, [option.name for option in options])
        return alt(*options)

    def _is_exclusive(self, path: Path, places: list[Path]) -> bool:
        """Whether a `oneOf` is; known for the next goal that has it, too."""
        if path not in self._exclusive:
            self.rules.work.spend(min(len(places), MAX_ALTERNATIVES) ** 2)
            self._exclusive[path] = are_disjoint(self.document, places)
        return self._exclusive[path]

    def _check_units(self) -> None:
        """Refuse alternatives that lead back to themselves: the engine would never return."""
        heights: dict[str, int] = {}
        for start in self._units:
            trail: list[str] = [start]
            while trail:
                name = trail[-1]
                path, options = self._units.get(name, ((), []))
                if heights.get(name, 0) == 0:
                    heights[name] = -1
                waiting = [option for option in options if heights.get(option, 0) <= 0]
                if any(heights.get(option) == -1 for option in waiting):
                    raise self._endless(path)
                if waiting:
                    trail.append(waiting[0])
                    continue
                heights[name] = 1 + max((heights[option] for option in options), default=0)
                if heights[name] > MAX_UNIT_DEPTH:
                    raise self._endless(path)
                trail.pop()

    def _endless(self, path: Path) -> RequestError:
        where = under(self.document.param, path)
        return RequestError(
            f"Invalid JSON Schema: {where} leads back to itself without an object or array in "
            f"between, or through more than {MAX_UNIT_DEPTH} alternatives.",
            param=where,
        )
