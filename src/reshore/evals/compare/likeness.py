"""How alike two answers are to an embedding model: what to look at first, and no more. Pure.

A cosine cannot tell an answer from its contrary (reversals come to 0.83 to 0.9997 over nine
encoders), so nothing is decided by it: answers that are far apart are worth somebody's time first.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Sequence
from operator import mul

from reshore.evals.compare.labels import Open

# Characters of an answer that are embedded; models read little more.
_MOST = 2000


def texts_of(pair: Open) -> tuple[str, str]:
    """What is to be embedded of a pair; a model may refuse an empty text."""
    first, second = (text[:_MOST].strip() or "-" for text in pair.texts)
    return first, second


def cosine(one: bytes, other: bytes) -> float:
    """Of two vectors of little-endian float32; 0 where one of them has no length."""
    first, second = _numbers(one), _numbers(other)
    lengths = math.sqrt(_dot(first, first) * _dot(second, second))
    return _dot(first, second) / lengths if lengths else 0.0


def least_alike_first(pairs: Sequence[Open], vectors: Sequence[bytes]) -> tuple[Open, ...]:
    """The pairs in another order.

    Args:
        vectors: two a pair, of `texts_of`.
    """
    alike = {
        pair.key: cosine(vectors[2 * place], vectors[2 * place + 1])
        for place, pair in enumerate(pairs)
    }
    return tuple(sorted(pairs, key=lambda pair: alike[pair.key]))


def _numbers(vector: bytes) -> array[float]:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _dot(one: array[float], other: array[float]) -> float:
    return math.fsum(map(mul, one, other))
