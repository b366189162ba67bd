from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from reshore.models import spans

SIZE = 40
_spans = st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)), max_size=8)


def bytes_of(found):
    return {byte for first, last in found for byte in range(first, last)}


def merged(added):
    found = ()
    for first, last in added:
        found = spans.with_span(found, first, last)
    return found


@given(_spans)
def test_what_was_added_is_there_sorted_and_apart(added):
    found = merged(added)
    assert bytes_of(found) == bytes_of(added)
    assert all(first < last for first, last in found)
    assert all(one[1] < two[0] for one, two in pairwise(found))
    assert spans.length(found) == len(bytes_of(added))


@given(_spans, st.integers(0, SIZE))
def test_what_is_missing_is_the_rest(added, size):
    assert bytes_of(spans.missing(merged(added), size)) == set(range(size)) - bytes_of(added)


@given(_spans, st.integers(1, 10))
def test_parts_hold_the_same_bytes_in_pieces(added, part_bytes):
    found = merged(added)
    parts = spans.in_parts(found, part_bytes)
    assert bytes_of(parts) == bytes_of(found)
    assert spans.length(parts) == spans.length(found)
    assert all(0 < last - first <= part_bytes for first, last in parts)
