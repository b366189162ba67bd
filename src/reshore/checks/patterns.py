"""Regular expressions of JSON Schema, as far as they are safe: parsed, and matched in linear time.

Python's `re` backtracks: a client could send `(a+)+$` as a `pattern` and stop the server. The
subset here (ECMA 262 without look-around, back references and word boundaries) is a regular
language, matched by stepping through a set of states, and compiled to a grammar by the engine.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

Ranges = tuple[tuple[int, int], ...]

MAX_PATTERN_BYTES = 1024
MAX_DEPTH = 32
# Copies that nested counted repetitions multiply to; each is a state for us and for the engine.
MAX_COPIES = 1999
# The same inside another counted repetition, where many copies may be active at once.
MAX_NESTED_COPIES = 300
_MAX_KNOWN = 1024
# What a match costs before the first state, in states.
_MATCH = 8
MAX_CODE_POINT = 0x10FFFF
# Code points that can stand in a JSON text: all but the surrogates.
ALL: Ranges = ((0, 0xD7FF), (0xE000, MAX_CODE_POINT))


class Set(Struct, frozen=True):
    """One code point out of sorted, disjoint, inclusive ranges."""

    ranges: Ranges


class Cat(Struct, frozen=True):
    """One after the other; empty: the empty string."""

    parts: tuple[Pattern, ...]


class Or(Struct, frozen=True):
    """One of several."""

    options: tuple[Pattern, ...]


class Many(Struct, frozen=True):
    """Between `low` and `high` times, None without an upper bound."""

    body: Pattern
    low: int
    high: int | None


Pattern = Set | Cat | Or | Many


class UnsafePattern(ValueError):
    """The expression is malformed, or outside the subset; says why."""


def parse_pattern(text: str) -> Pattern:
    """The language of all strings in which `text` matches somewhere (`^` and `$` anchor it).

    Raises:
        UnsafePattern: malformed, too long, or not in the subset.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_PATTERN_BYTES:
        raise UnsafePattern(f"longer than {MAX_PATTERN_BYTES} bytes")
    pattern = _Parser(text).parse()
    if _copies(pattern) > MAX_COPIES:
        raise UnsafePattern(f"its repetitions multiply to more than {MAX_COPIES} copies")
    return pattern


def length_bounds(pattern: Pattern) -> tuple[int, int | None]:
    """The fewest and the most code points that a match has; None: no limit."""
    match pattern:
        case Set():
            return 1, 1
        case Cat(parts):
            bounds = [length_bounds(part) for part in parts]
            highs = [high for _, high in bounds]
            low = sum(low for low, _ in bounds)
            return low, None if None in highs else sum(high or 0 for high in highs)
        case Or(options):
            bounds = [length_bounds(option) for option in options]
            highs = [high for _, high in bounds]
            low = min(low for low, _ in bounds)
            return low, None if None in highs else max(high or 0 for high in highs)
        case Many(body, times, most):
            low, high = length_bounds(body)
            unlimited = most is None or (high is None and most > 0)
            return low * times, None if unlimited else (high or 0) * (most or 0)


def full_match(
    pattern: Pattern, text: str, spend: Callable[[int], None] = lambda states: None
) -> bool:
    """Whether `pattern` matches all of `text`, in time linear in its length.

    Args:
        spend: is told of the states that are gone through, and may raise to stop it.
    """
    spend(_MATCH)
    shortest, longest = length_bounds(pattern)
    if len(text) < shortest or (longest is not None and len(text) > longest):
        return False
    machine = _Machine(pattern)
    spend(len(machine.labels))
    states = machine.start
    known: dict[tuple[frozenset[int], str], frozenset[int]] = {}
    for character in text:
        step = states, character
        if step not in known:
            if len(known) == _MAX_KNOWN:
                known.clear()
            spend(len(states))
            known[step] = machine.step(states, ord(character))
        states = known[step]
        if not states:
            return False
    return machine.final in states


_SHORTHANDS: dict[str, Ranges] = {
    "d": ((0x30, 0x39),),
    "w": ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)),
    "s": ((0x09, 0x0D), (0x20, 0x20)),
}
_CONTROLS = {"t": 0x09, "n": 0x0A, "v": 0x0B, "f": 0x0C, "r": 0x0D, "0": 0x00}
_LINE_ENDS: Ranges = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
# ECMA and Python disagree on non-ASCII in \W, \D and \S; ASCII alone satisfies both.
_ASCII: Ranges = ((0, 0x7F),)


def complement(ranges: Ranges, within: Ranges = ALL) -> Ranges:
    """The code points of `within` that are not in `ranges`."""
    left: list[tuple[int, int]] = []
    for start, stop in within:
        here = start
        for low, high in sorted(ranges):
            if high < here or low > stop:
                continue
            if low > here:
                left.append((here, low - 1))
            here = max(here, high + 1)
        if here <= stop:
            left.append((here, stop))
    return tuple(left)


def _union(ranges: list[tuple[int, int]]) -> Ranges:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


class _Parser:
    """Recursive descent over one expression; `^` and `$` only at the ends of an alternative."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def parse(self) -> Pattern:
        anything = Many(Set(ALL), 0, None)
        options: list[Pattern] = []
        while True:
            anchored = self._take("^")
            body = self._sequence(0)
            ended = self._take("$")
            parts = [body] if anchored else [anything, body]
            options.append(Cat(tuple(parts if ended else [*parts, anything])))
            if not self._take("|"):
                break
        if self.at < len(self.text):
            raise UnsafePattern(f"unexpected {self.text[self.at]!r} at {self.at}")
        return options[0] if len(options) == 1 else Or(tuple(options))

    def _take(self, token: str) -> bool:
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def _next(self) -> str:
        if self.at >= len(self.text):
            raise UnsafePattern("it ends too early")
        self.at += 1
        return self.text[self.at - 1]

    def _alternatives(self, depth: int) -> Pattern:
        if depth > MAX_DEPTH:
            raise UnsafePattern("groups nested too deeply")
        options = [self._sequence(depth)]
        while self._take("|"):
            options.append(self._sequence(depth))
        return options[0] if len(options) == 1 else Or(tuple(options))

    def _sequence(self, depth: int) -> Pattern:
        parts: list[Pattern] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)$":
            parts.append(self._quantified(self._atom(depth)))
        return parts[0] if len(parts) == 1 else Cat(tuple(parts))

    def _atom(self, depth: int) -> Pattern:
        character = self._next()
        if character == "(":
            return self._group(depth)
        if character == "[":
            return Set(self._class())
        if character == ".":
            return Set(complement(_LINE_ENDS))
        if character == "\\":
            return Set(self._escape())
        if character in "^*+?{":
            raise UnsafePattern(f"unexpected {character!r} at {self.at - 1}")
        return Set(((ord(character), ord(character)),))

    def _group(self, depth: int) -> Pattern:
        if self._take("?") and not self._take(":"):
            raise UnsafePattern("look-around and named groups are not supported")
        body = self._alternatives(depth + 1)
        if not self._take(")"):
            raise UnsafePattern("a group is not closed, or holds an anchor")
        return body

    def _quantified(self, body: Pattern) -> Pattern:
        bounds: tuple[int, int | None]
        if self._take("*"):
            bounds = (0, None)
        elif self._take("+"):
            bounds = (1, None)
        elif self._take("?"):
            bounds = (0, 1)
        elif self._take("{"):
            bounds = self._counts()
        else:
            return body
        self._take("?")  # lazy: another order of trying, the same language
        if self.at < len(self.text) and self.text[self.at] in "*+?{":
            raise UnsafePattern("a repetition is repeated")
        if length_bounds(body)[0] == 0:
            raise UnsafePattern("what is repeated may be empty")
        return Many(body, *bounds)

    def _counts(self) -> tuple[int, int | None]:
        end = self.text.find("}", self.at)
        inside = self.text[self.at : end] if end >= 0 else ""
        low, comma, high = inside.partition(",")
        if not _is_count(low) or (high and not _is_count(high)):
            raise UnsafePattern("a '{' that starts no repetition must be escaped")
        self.at = end + 1
        least = int(low)
        most = least if not comma else int(high) if high else None
        if least > MAX_COPIES or (most is not None and not least <= most <= MAX_COPIES):
            raise UnsafePattern(f"repetition {{{inside}}} is out of range")
        return least, most

    def _class(self) -> Ranges:
        negated = self._take("^")
        within = ALL
        found: list[tuple[int, int]] = []
        while not self._take("]"):
            first, shorthand = self._member()
            if shorthand and negated:
                within = _ASCII
            if self._is_range():
                self.at += 1
                last, also = self._member()
                if shorthand or also or first[0][0] > last[0][0]:
                    raise UnsafePattern("a character range is out of order")
                found.append((first[0][0], last[0][0]))
            else:
                found.extend(first)
        members = _union(found)
        chosen = complement(members if negated else complement(members), within)
        if not chosen:
            raise UnsafePattern("an empty character class")
        return chosen

    def _is_range(self) -> bool:
        return self.text.startswith("-", self.at) and not self.text.startswith("-]", self.at)

    def _member(self) -> tuple[Ranges, bool]:
        character = self._next()
        if character != "\\":
            return ((ord(character), ord(character)),), False
        if self._take("b"):
            return ((8, 8),), False
        shorthand = self.text[self.at : self.at + 1] in tuple("dDwWsS")
        return self._escape(), shorthand

    def _escape(self) -> Ranges:
        letter = self._next()
        if letter.lower() in _SHORTHANDS:
            ranges = _SHORTHANDS[letter.lower()]
            return ranges if letter.islower() else complement(ranges, _ASCII)
        if letter in _CONTROLS:
            code = _CONTROLS[letter]
        elif letter in "xu":
            code = self._hex(2 if letter == "x" else 4)
        elif letter.isalnum():
            raise UnsafePattern(f"\\{letter} is not supported")
        else:
            code = ord(letter)
        return ((code, code),)

    def _hex(self, digits: int) -> int:
        found = self.text[self.at : self.at + digits]
        if len(found) < digits or any(digit not in "0123456789abcdefABCDEF" for digit in found):
            raise UnsafePattern("a hexadecimal escape is malformed")
        self.at += digits
        code = int(found, 16)
        if 0xD800 <= code <= 0xDFFF:
            raise UnsafePattern("surrogates are not supported")
        return code


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6


def _copies(pattern: Pattern) -> int:
    """States that the pattern takes; refuses counts inside counts beyond their own limit."""
    match pattern:
        case Set():
            return 1
        case Cat(parts) | Or(parts):
            return sum(_copies(part) for part in parts) or 1
        case Many(body, low, high):
            copies = _copies(body) * max(low, high or 0, 1)
            if copies > MAX_NESTED_COPIES and max(low, high or 0) > 1 and _counts_inside(body):
                raise UnsafePattern(f"nested counts multiply to more than {MAX_NESTED_COPIES}")
            return copies


def _counts_inside(pattern: Pattern) -> bool:
    match pattern:
        case Set():
            return False
        case Cat(parts) | Or(parts):
            return any(_counts_inside(part) for part in parts)
        case Many(body, low, high):
            return max(low, high or 0) > 1 or _counts_inside(body)


class _Machine:
    """Thompson's automaton: states with one labelled edge, or several empty ones."""

    def __init__(self, pattern: Pattern) -> None:
        self.labels: list[Ranges | None] = []
        self.edges: list[list[int]] = []
        self.final = self._state(None)
        self.start = self._closure([self._build(pattern, self.final)])

    def _state(self, label: Ranges | None, *edges: int) -> int:
        self.labels.append(label)
        self.edges.append(list(edges))
        return len(self.labels) - 1

    def _build(self, pattern: Pattern, after: int) -> int:
        match pattern:
            case Set(ranges):
                return self._state(ranges, after)
            case Cat(parts):
                for part in reversed(parts):
                    after = self._build(part, after)
                return after
            case Or(options):
                return self._state(None, *[self._build(option, after) for option in options])
            case Many(body, low, high):
                return self._repeat(body, low, high, after)

    def _repeat(self, body: Pattern, low: int, high: int | None, after: int) -> int:
        if high is None:
            loop = self._state(None, after)
            self.edges[loop].append(self._build(body, loop))
            here = loop
        else:
            here = after
            for _ in range(high - low):
                here = self._state(None, self._build(body, here), after)
        for _ in range(low):
            here = self._build(body, here)
        return here

    def _closure(self, states: list[int]) -> frozenset[int]:
        seen = set(states)
        todo = list(states)
        while todo:
            state = todo.pop()
            if self.labels[state] is None:
                fresh = [edge for edge in self.edges[state] if edge not in seen]
                seen.update(fresh)
                todo.extend(fresh)
        return frozenset(seen)

    def step(self, states: frozenset[int], code: int) -> frozenset[int]:
        reached = []
        for state in states:
            label = self.labels[state]
            if label is not None and any(low <= code <= high for low, high in label):
                reached.append(self.edges[state][0])
        return self._closure(reached)
