"""`x-reshore-decision`, whatever is in a decision."""

import re

from hypothesis import given
from hypothesis import strategies as st

from reshore.server.decision_header import decision_header
from reshore.types import Decision, Target

CLOUD = Target(side="cloud", backend="openai", model="gpt-4o")


def test_it_tells_who_answers_and_why() -> None:
    decision = Decision(side="local", route="gpt-*", policy="split(…)", why="a; b", version=7)
    assert decision_header(decision, CLOUD) == (
        b"x-reshore-decision",
        b'side=cloud; backend=openai; model="gpt-4o"; route="gpt-*"; policy="split(?)"; '
        b'why="a; b"; version=7',
    )


def test_of_a_request_that_nobody_answers_it_tells_what_was_decided() -> None:
    _, value = decision_header(Decision(side="local", why="x"))
    assert value == b'side=local; route=""; policy=""; why="x"; version=0'


@given(st.text(), st.text(), st.text())
def test_any_text_is_safe_in_a_header(model: str, route: str, why: str) -> None:
    target = Target(side="cloud", backend="b", model=model)
    _, value = decision_header(Decision(side="cloud", route=route, why=why), target)
    text = value.decode("ascii")
    assert text.isprintable()
    assert len(text) < 2000
    quoted = r'"(?:[^"\\]|\\["\\])*"'
    assert re.fullmatch(
        f"side=cloud; backend=b; model={quoted}; route={quoted}; policy={quoted}; why={quoted}; "
        r"version=\d+",
        text,
    )
