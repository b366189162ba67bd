"""Which side of a split a client is on: the same one each time, without remembering anything.

A key is hashed to a point in 0..1, and the sides of a split are intervals there that begin at 0
with the local ones. Raising local's share from 10 to 20 therefore moves the keys between 0.1 and
0.2 and nobody else; nginx's `split_clients` has worked so for long. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from msgspec import Struct


class Place(Struct, frozen=True):
    """Where a point fell: the side's index, and its interval in per cent."""

    index: int
    low: float
    high: float


def point(salt: str, key: bytes) -> float:
    """Where a key falls in 0..1 (1 excluded).

    Args:
        salt: of the split, so that two splits divide the same keys differently.
    """
    digest = hashlib.sha256(salt.encode("utf-8", "surrogatepass") + b"\0" + key).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53  # as many bits as a float keeps


def place(weights: Sequence[float], at: float) -> Place:
    """The side whose interval holds the point `at`; one of weight 0 is never chosen.

    Args:
        weights: at least one is positive.
    """
    total = sum(weights)
    low = 0.0
    last = Place(0, 0.0, 100.0)
    for index, weight in enumerate(weights):
        high = low + weight
        if weight:
            last = Place(index, 100 * low / total, 100 * high / total)
            if at * total < high:
                break
        low = high
    return last
