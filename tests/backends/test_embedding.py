"""Vectors cut to fewer dimensions."""

import struct

import pytest

from reshore.backends.embedding import cut


def test_a_cut_vector_has_length_one() -> None:
    vector = struct.pack("<4f", 3.0, 4.0, 12.0, 0.0)
    assert struct.unpack("<2f", cut(vector, 2)) == pytest.approx((0.6, 0.8))


def test_a_zero_vector_stays_zero() -> None:
    assert cut(bytes(16), 2) == bytes(8)
