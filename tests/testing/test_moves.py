"""What a script comes to, move by move, without a socket."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.testing import Script
from reshore.testing.moves import Act, moves
from reshore.testing.replies import DONE, Asked, answer

PATH = "/v1/chat/completions"


def stream(script: Script) -> list[Any]:
    """The moves up to the one that ends the request."""
    return _moves(script, Asked(stream=True))


def whole(script: Script) -> list[Any]:
    return _moves(script, Asked())


def _moves(script: Script, asked: Asked) -> list[Any]:
    found: list[Any] = []
    for move in moves(script, answer(script, asked, PATH, 100)):
        found.append(move)
        if move in (Act.END, Act.CUT, Act.RESET):
            break
    return found


def test_a_plain_stream_has_a_piece_a_token() -> None:
    head, first, second, closing, end = stream(Script(text="a b"))
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"content":"a"' in first
    assert b'"content":" b"' in second
    assert DONE in closing
    assert closing.endswith(b"0\r\n\r\n")
    assert end is Act.END


def test_pauses_stand_where_they_are_asked_for() -> None:
    script = Script(text="a b", headers_ms=1, ttft_ms=20, gap_ms=300)
    kinds = [move if isinstance(move, float) else "" for move in stream(script)]
    assert kinds == [0.001, "", 0.02, "", 0.3, "", "", ""]
    assert whole(script)[:2] == [0.001, 0.32]


def test_slow_headers_come_line_by_line() -> None:
    found = whole(Script(text="a", header_gap_ms=5))
    assert found[0] == b"HTTP/1.1 200 OK\r\n"
    assert found[1::2][: len(found) // 2 - 1] == [0.005] * (len(found) // 2 - 1)


def test_a_burst_is_one_piece() -> None:
    assert len(stream(Script(tokens=50, burst=True, gap_ms=9))) == 3


@pytest.mark.parametrize(
    ("fault", "last"),
    [("cut", Act.CUT), ("reset", Act.RESET), ("no-done", Act.END), ("error", Act.END)],
)
@given(st.integers(0, 9), st.integers(0, 12))
def test_a_fault_ends_a_stream_after_its_tokens(
    fault: Any, last: Act, tokens: int, after: int
) -> None:
    found = stream(Script(text="x", tokens=tokens, fault=fault, fault_after=after))
    sent = b"".join(move for move in found[:-2] if isinstance(move, bytes))
    assert sent.count(b'"content":"x"') == min(tokens, after)
    assert DONE not in sent
    assert found[-1] is last


def test_what_is_cut_is_half_an_event() -> None:
    *_, half, act = stream(Script(text="a b", fault="cut", fault_after=1))
    assert act is Act.CUT
    assert half
    assert not half.endswith(b"\n\n\r\n")


def test_a_stream_without_end_goes_round() -> None:
    script = Script(text="a b", forever=True)
    found = moves(script, answer(script, Asked(stream=True), PATH, 1))
    pieces = [next(found) for _ in range(101)]
    assert sum(b'"content":"a"' in piece for piece in pieces if isinstance(piece, bytes)) == 50
