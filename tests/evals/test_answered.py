"""Which side a request or a copy says something about, and what."""

from __future__ import annotations

import pytest

from reshore.evals.answered import Answered, answers, copied, fault
from tests.evals.rollouts.driven import attempt


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (None, None, False),
        (None, 200, False),
        (None, 429, True),
        (None, 400, None),
        ("UpstreamStatus", 500, True),
        ("UpstreamStatus", 401, True),
        ("UpstreamStatus", 422, None),
        ("UpstreamStatus", None, True),
        ("Crashed", None, True),
        ("BackendTimeout", 200, True),
        ("ContextTooLong", None, True),
        ("UnknownModel", None, True),
        ("RequestError", None, None),
        ("BodyTooLarge", None, None),
        ("Cancelled", None, None),
        ("ClientGone", 200, None),
        ("ShuttingDown", None, None),
        ("KeyError", None, True),
    ],
)
def test_who_is_to_blame(error, status, says):
    assert fault(attempt("local", error=error, status=status)) is says


def test_retries_of_a_side_are_one_answer_whose_wait_counts():
    tries = [
        attempt("cloud", error="Unreachable", ttft_ms=None),
        attempt("cloud", role="retry", started_ms=700.0, ttft_ms=50.0),
    ]
    assert list(answers(tries)) == [Answered(side="cloud", failed=False, ttft_ms=750.0)]


def test_both_sides_may_be_heard_in_one_request():
    tries = [
        attempt("local", error="Crashed", ttft_ms=None),
        attempt("cloud", role="fallback", started_ms=300.0, ttft_ms=100.0),
    ]
    assert list(answers(tries)) == [
        Answered(side="local", failed=True),
        Answered(side="cloud", failed=False, ttft_ms=100.0),
    ]


def test_what_was_cancelled_or_stands_beside_the_answer_says_nothing():
    tries = [
        attempt("local", error="Cancelled"),
        attempt("cloud", role="judge"),
        attempt("cloud", role="check"),
    ]
    assert list(answers(tries)) == []


def test_a_whole_reply_has_no_first_token():
    assert list(answers([attempt("cloud", ttft_ms=None)])) == [
        Answered(side="cloud", failed=False, ttft_ms=None)
    ]


def test_a_copy_tells_of_the_side_it_was_sent_to():
    copy = attempt("local", role="shadow", started_ms=900.0, ttft_ms=80.0)
    assert copied(copy) == Answered(side="local", failed=False, ttft_ms=80.0)
    assert copied(attempt("local", role="shadow", error="Cancelled")) is None
    assert copied(attempt("local", role="check")) is None
