"""Which bytes of a file are there, as half-open ranges: sorted, apart from each other. Pure."""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[int, int]
"""First byte and the one after the last."""


def with_span(spans: Iterable[Span], start: int, end: int) -> tuple[Span, ...]:
    """`spans` and the bytes from `start` to `end`, merged where they touch."""
    if start >= end:
        return tuple(spans)
    apart = []
    for first, last in spans:
        if last < start or end < first:
            apart.append((first, last))
        else:
            start, end = min(start, first), max(end, last)
    return tuple(sorted([*apart, (start, end)]))


def missing(spans: Iterable[Span], size: int) -> tuple[Span, ...]:
    """What lies between and after `spans` in a file of `size` bytes."""
    gaps, position = [], 0
    for first, last in spans:
        if position < min(first, size):
            gaps.append((position, min(first, size)))
        position = last
    if position < size:
        gaps.append((position, size))
    return tuple(gaps)


def in_parts(spans: Iterable[Span], part_bytes: int) -> tuple[Span, ...]:
    """`spans` cut into pieces of at most `part_bytes`."""
    return tuple(
        (start, min(start + part_bytes, last))
        for first, last in spans
        for start in range(first, last, part_bytes)
    )


def length(spans: Iterable[Span]) -> int:
    """How many bytes they hold."""
    return sum(last - first for first, last in spans)
