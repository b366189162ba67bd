"""What to look at first: answers that are far apart."""

from __future__ import annotations

import struct

import pytest

from reshore.evals.compare.labels import open_pairs
from reshore.evals.compare.likeness import cosine, least_alike_first, texts_of
from tests.evals.compare.test_labels import report


def vector(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((1, 0), (3, 0), 1.0),
        ((1, 0), (0, 2), 0.0),
        ((1, 1), (-2, -2), -1.0),
        ((3, 4), (4, 3), 0.96),
        ((0, 0), (1, 1), 0.0),
    ],
)
def test_a_cosine_is_that_of_the_angle(
    one: tuple[float, ...], other: tuple[float, ...], expected: float
) -> None:
    assert cosine(vector(*one), vector(*other)) == pytest.approx(expected, abs=1e-6)


def test_the_least_alike_come_first() -> None:
    pairs = open_pairs(report(["win"] * 3))
    near, far, middle = vector(1, 0.1), vector(-1, 0), vector(0, 1)
    vectors = [vector(1, 0), near, vector(1, 0), far, vector(1, 0), middle]
    assert least_alike_first(pairs, vectors) == (pairs[1], pairs[2], pairs[0])


def test_long_and_empty_texts_are_made_fit() -> None:
    [pair] = open_pairs(report(["win"]))
    assert all(texts_of(pair))
    assert max(map(len, texts_of(pair))) <= 2000
