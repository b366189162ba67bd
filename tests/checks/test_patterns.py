import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.checks.formats import PATTERNS, format_pattern
from reshore.checks.patterns import (
    MAX_PATTERN_BYTES,
    UnsafePattern,
    full_match,
    length_bounds,
    parse_pattern,
)

_ATOMS = st.sampled_from(["a", "b", "[ab]", "[^a]", r"\d", ".", r"\.", "x", r"\w"])


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{1,3}", "{2,}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    )


@given(
    st.recursive(_ATOMS, _grow, max_leaves=6),
    st.booleans(),
    st.booleans(),
    st.text("abx.1\n", max_size=6),
)
def test_matching_agrees_with_re(body: str, start: bool, end: bool, text: str) -> None:
    pattern = ("^" if start else "") + body + ("$" if end else "")
    try:
        parsed = parse_pattern(pattern)
    except UnsafePattern:
        return
    # `$` of ECMA is Python's `\Z`; `.` excludes carriage returns besides line feeds.
    python = body.replace(".", r"[^\n\r\u2028\u2029]").replace(r"\[^\n\r\u2028\u2029]", r"\.")
    expected = re.search(("^" if start else "") + python + (r"\Z" if end else ""), text, re.ASCII)
    assert full_match(parsed, text) == bool(expected)


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)",
        "(?<n>a)",
        r"\bword",
        r"(a)\1",
        "a**",
        "(a*)*",
        "(",
        "[",
        "a{5,2}",
        "[b-a]",
        "*a",
        r"\p{L}",
        "a{9999}",
        "((a{99}){99}){99}",
        "(a{1,40}b?){1,40}",
        "(" * 40 + "a" + ")" * 40,
        "a^b",
        "\\",
        "a" * (MAX_PATTERN_BYTES + 1),
        r"\ud800",
    ],
)
def test_what_is_outside_the_subset_is_refused(pattern: str) -> None:
    with pytest.raises(UnsafePattern):
        parse_pattern(pattern)


def test_catastrophic_patterns_match_in_linear_time() -> None:
    assert not full_match(parse_pattern("^(a+)+$"), "a" * 50_000 + "!")
    assert full_match(parse_pattern("^((a{1,15}b?){1,15})+$"), "a" * 20_000)


def test_length_bounds_follow_from_the_expression() -> None:
    assert length_bounds(parse_pattern("^[A-Z]{3}(-\\d)?$")) == (3, 5)
    assert length_bounds(parse_pattern("^a+$")) == (1, None)
    assert length_bounds(parse_pattern("^(ab|c)$")) == (1, 2)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date", "2024-02-29", "2023-02-29"),
        ("date", "2023-12-31", "2023-04-31"),
        ("time", "23:59:59.5+02:00", "24:00:00Z"),
        ("date-time", "2024-02-29T00:00:00Z", "2024-02-30T00:00:00Z"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567"),
        ("ipv4", "255.0.10.1", "256.0.0.1"),
        ("email", "a.b@example.org", "nobody"),
        ("duration", "P1DT2H", "PT"),
    ],
)
def test_formats(name: str, good: str, bad: str) -> None:
    pattern = format_pattern(name)
    assert pattern is not None
    assert full_match(pattern, good)
    assert not full_match(pattern, bad)


def test_every_format_pattern_is_in_the_subset() -> None:
    assert all(format_pattern(name) is not None for name in PATTERNS)
    assert format_pattern("unheard-of") is None
