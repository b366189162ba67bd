"""Vectors cut to fewer dimensions."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.backends.embedding import cut


def test_a_cut_vector_has_length_one() -> None:
    vector = struct.pack("<4f", 3.0, 4.0, 12.0, 0.0)
    assert struct.unpack("<2f", cut(vector, 2)) == pytest.approx((0.6, 0.8))


@given(
    st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=1, max_size=32),
    st.integers(1, 40),
)
def test_directions_stay(elements: list[float], dimensions: int) -> None:
    vector = struct.pack(f"<{len(elements)}f", *elements)
    head = elements[:dimensions]
    made = struct.unpack(f"<{len(head)}f", cut(vector, dimensions))
    length = math.hypot(*head)
    assert math.hypot(*made) == pytest.approx(1.0 if length else 0.0, abs=1e-6)
    assert made == pytest.approx([element / (length or 1.0) for element in head], abs=1e-6)


def test_a_zero_vector_stays_zero() -> None:
    assert cut(bytes(16), 2) == bytes(8)
