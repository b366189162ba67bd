"""A small GBNF reader and matcher: an own, independent opinion of what a grammar accepts.

It follows llama.cpp's notation as far as our grammars use it, refuses what llama.cpp refuses
(undefined rules, left recursion, repetitions of 2000 and more), and matches by Earley's algorithm.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from random import Random

Symbol = str | tuple[tuple[int, int], ...]  # a rule, or ranges of code points
MAX_REPETITION = 2000


class BadGrammar(ValueError):
    """llama.cpp would refuse it."""


class Gbnf:
    """A grammar that can tell whether it accepts a text."""

    def __init__(self, text: str) -> None:
        self.rules: dict[str, list[list[Symbol]]] = {}
        self._fresh = 0
        for line in text.splitlines():
            name, _, body = line.partition(" ::= ")
            options, rest = self._alternatives(body)
            if rest:
                raise BadGrammar(f"left over in {name}: {rest}")
            if name in self.rules:
                raise BadGrammar(f"{name} is defined twice")
            self.rules[name] = options
        self._check()

    def accepts(self, text: str) -> bool:
        """Whether `text` as a whole is in the language."""
        sets: list[dict[tuple[str, int, int, int], None]] = [{} for _ in range(len(text) + 1)]
        waiting: list[defaultdict[str, list[tuple[str, int, int, int]]]] = [
            defaultdict(list) for _ in sets
        ]
        for option in range(len(self.rules["root"])):
            sets[0]["root", option, 0, 0] = None
        for at, items in enumerate(sets):
            todo = list(items)
            while todo:
                item = todo.pop()
                for place, new in self._advance(item, at, text, waiting):
                    if place < len(sets) and new not in sets[place]:
                        sets[place][new] = None
                        if place == at:
                            todo.append(new)
        return any(
            name == "root" and start == 0 and dot == len(self.rules[name][option])
            for name, option, dot, start in sets[-1]
        )

    def _advance(self, item, at, text, waiting):
        name, option, dot, start = item
        body = self.rules[name][option]
        if dot == len(body):
            return [(at, (n, o, d + 1, s)) for n, o, d, s in waiting[start][name]]
        symbol = body[dot]
        if isinstance(symbol, str):
            waiting[at][symbol].append(item)
            found = [(at, (symbol, index, 0, at)) for index in range(len(self.rules[symbol]))]
            if symbol in self.nullable:
                found.append((at, (name, option, dot + 1, start)))
            return found
        if at < len(text) and any(low <= ord(text[at]) <= high for low, high in symbol):
            return [(at + 1, (name, option, dot + 1, start))]
        return []

    def _alternatives(self, text: str) -> tuple[list[list[Symbol]], str]:
        options: list[list[Symbol]] = []
        while True:
            sequence, text = self._sequence(text.lstrip(" "))
            options.append(sequence)
            if not text.startswith("|"):
                return options, text
            text = text[1:]

    def _sequence(self, text: str) -> tuple[list[Symbol], str]:
        sequence: list[Symbol] = []
        while text and text[0] not in "|)":
            before = self._fresh
            piece, text = self._piece(text)
            # llama.cpp multiplies a repetition by the rules that its operand has made.
            piece, text = self._repeated(piece, text, max(1, self._fresh - before))
            sequence += piece
            text = text.lstrip(" ")
        return sequence, text

    def _piece(self, text: str) -> tuple[list[Symbol], str]:
        if text[0] == '"':
            literal: list[Symbol] = []
            text = text[1:]
            while text[0] != '"':
                code, text = _character(text)
                literal.append(((code, code),))
            return literal, text[1:]
        if text[0] == "[":
            return self._ranges(text[1:])
        if text[0] == "(":
            options, rest = self._alternatives(text[1:])
            if not rest.startswith(")"):
                raise BadGrammar("unclosed group")
            return [self._name(options)], rest[1:]
        end = 0
        while end < len(text) and (text[end].isalnum() or text[end] == "-"):
            end += 1
        if not end:
            raise BadGrammar(f"unexpected {text[:20]!r}")
        return [text[:end]], text[end:]

    def _ranges(self, text: str) -> tuple[list[Symbol], str]:
        ranges: list[tuple[int, int]] = []
        if text.startswith("^"):
            raise BadGrammar("negated classes are not expected")
        while text[0] != "]":
            low, text = _character(text)
            high = low
            if text[0] == "-" and text[1] != "]":
                high, text = _character(text[1:])
            ranges.append((low, high))
        return [tuple(ranges)], text[1:]

    def _name(self, options: list[list[Symbol]]) -> str:
        self._fresh += 1
        name = f"group_{self._fresh}"
        self.rules[name] = options
        return name

    def _repeated(self, piece: list[Symbol], text: str, weight: int) -> tuple[list[Symbol], str]:
        if not text or text[0] not in "?*+{":
            return piece, text
        low, high, text = _times(text)
        if weight * max(1, low, high or 0) >= MAX_REPETITION or not piece:
            raise BadGrammar("repetition out of range")
        required = piece * low
        if high is None:
            loop = self._name([[]])
            self.rules[loop] = [[*piece, loop], []]
            return [*required, loop], text
        tail: list[Symbol] = []
        for _ in range(high - low):
            tail = [self._name([[*piece, *tail], []])]
        return [*required, *tail], text

    def _check(self) -> None:
        for options in self.rules.values():
            for symbol in (symbol for option in options for symbol in option):
                if isinstance(symbol, str) and symbol not in self.rules:
                    raise BadGrammar(f"{symbol} is not defined")
        self.nullable: set[str] = set()
        self._settle(
            self.nullable,
            lambda name: any(
                all(symbol in self.nullable for symbol in option) for option in self.rules[name]
            ),
        )
        self._check_left_recursion()

    def _settle(self, done: set[str], holds: Callable[[str], bool]) -> None:
        """Add to `done` what holds, until nothing more does; both directions, as chains go both."""
        order = list(self.rules)
        before = -1
        while len(done) > before:
            before = len(done)
            order.reverse()
            for name in order:
                if name not in done and holds(name):
                    done.add(name)

    def _check_left_recursion(self) -> None:
        left: dict[str, set[str]] = {name: set() for name in self.rules}
        for name, options in self.rules.items():
            for option in options:
                for symbol in option:
                    if isinstance(symbol, str):
                        left[name].add(symbol)
                    if symbol not in self.nullable:
                        break
        done: set[str] = set()
        self._settle(done, lambda name: left[name] <= done)
        if len(done) < len(left):
            raise BadGrammar(f"left recursion among {sorted(left.keys() - done)[:5]}")


def _character(text: str) -> tuple[int, str]:
    if text[0] != "\\":
        return ord(text[0]), text[1:]
    digits = {"x": 2, "u": 4, "U": 8}.get(text[1])
    if digits:
        return int(text[2 : 2 + digits], 16), text[2 + digits :]
    if text[1] in '"\\[]':
        return ord(text[1]), text[2:]
    raise BadGrammar(f"unknown escape {text[:2]!r}")


def _times(text: str) -> tuple[int, int | None, str]:
    if text[0] != "{":
        low, high = {"?": (0, 1), "*": (0, None), "+": (1, None)}[text[0]]
        return low, high, text[1:]
    inside, _, rest = text[1:].partition("}")
    first, comma, last = inside.partition(",")
    low = int(first)
    return low, (int(last) if last else None) if comma else low, rest


class Sampler:
    """Random texts of a grammar, short ones first: small models are no better guessers."""

    def __init__(self, grammar: Gbnf) -> None:
        self.rules = grammar.rules
        self.heights = dict.fromkeys(self.rules, 10**9)
        changed = True
        while changed:
            changed = False
            for name, options in self.rules.items():
                height = 1 + min(max(map(self._height, option), default=0) for option in options)
                if height < self.heights[name]:
                    self.heights[name] = height
                    changed = True

    def _height(self, symbol: Symbol) -> int:
        return self.heights[symbol] if isinstance(symbol, str) else 0

    def sample(self, random: Random, budget: int = 60) -> str:
        """A text; once `budget` rules are used up, the shortest ways to the end are taken."""
        out: list[str] = []
        stack: list[Symbol] = ["root"]
        while stack:
            symbol = stack.pop()
            if not isinstance(symbol, str):
                low, high = random.choice(symbol)
                out.append(chr(random.choice((low, random.randint(low, min(high, low + 90))))))
                continue
            budget -= 1
            options = self.rules[symbol]
            if budget < 0:
                best = min(max(map(self._height, o), default=0) for o in options)
                options = [o for o in options if max(map(self._height, o), default=0) == best]
            stack.extend(reversed(random.choice(options)))
        return "".join(out)
