"""From a request to the steps of an answer."""

from __future__ import annotations

from itertools import islice

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.config import EchoConfig
from reshore.engine.echo import tokens
from reshore.engine.echo.script import Answer, Script, Step, make_script


def script(text: str, *, limit: int | None = None, room: int = 1000, **more: object) -> Script:
    stop = more.get("stop", ())
    assert isinstance(stop, tuple)
    return make_script(text, EchoConfig(tokens=4), limit=limit, stop=stop, room=room, body=b"{}")


def said(made: Script) -> tuple[str, str]:
    """The content and the finish reason."""
    answer = Answer(made)
    return "".join(step.text for step in answer if step.kind == "content"), answer.finish


def test_the_words_are_repeated_to_the_configured_length() -> None:
    assert said(script("one two three")) == ("one two three one", "stop")


def test_the_words_are_repeated_to_the_asked_length() -> None:
    assert said(script("one two", limit=5)) == ("one two one two one", "length")


def test_nothing_said_is_answered_too() -> None:
    assert said(script("  ", limit=1)) == ("echo", "length")


def test_one_word_is_one_token() -> None:
    answer = Answer(script("one two", limit=3))
    assert [step.text for step in answer] == ["one", " two", " one"]
    assert answer.tokens == 3


def test_a_scripted_text_is_answered_to_the_letter() -> None:
    text = "  two  spaces,\na line\tand an end \n"
    made = script("/echo " + msgspec.json.encode({"text": text}).decode())
    assert said(made) == (text, "stop")


def test_a_scripted_text_is_cut_like_any_other() -> None:
    assert said(script('/echo {"text": "a b c"}', limit=2)) == ("a b", "length")
    assert said(script('/echo {"text": "a b", "tokens": 3}')) == ("a b a", "stop")
    assert said(script('/echo {"text": ""}')) == ("", "stop")


def test_the_context_cuts_an_answer() -> None:
    assert said(script("/echo {}", limit=9, room=2)) == ("echo echo", "length")


def test_a_finish_reason_can_be_dictated() -> None:
    assert said(script('/echo {"text": "a", "finish": "length"}')) == ("a", "length")


def test_forever_has_no_end_but_the_one_asked_for() -> None:
    endless = script('/echo {"forever": true}', room=2)
    assert len(list(islice(Answer(endless), 5000))) == 5000
    assert said(script('/echo {"forever": true}', limit=2)) == ("echo echo", "length")


def test_reasoning_stands_before_and_calls_stand_after_the_text() -> None:
    made = script(
        '/echo {"reasoning": "let me see", "text": "hi", '
        '"tool_calls": [{"name": "f", "arguments": {"city": "Paris"}}, {"name": "g"}]}'
    )
    answer = Answer(made)
    steps = list(answer)
    assert "".join(step.text for step in steps if step.kind == "reasoning") == "let me see"
    assert [step.name for step in steps if step.name] == ["f", "g"]
    arguments = ["".join(s.text for s in steps if s.kind == "call" and s.call == n) for n in (0, 1)]
    assert arguments == ['{"city":"Paris"}', "{}"]
    assert [step.kind for step in steps] == sorted(
        (step.kind for step in steps), key=["reasoning", "content", "call"].index
    )
    assert answer.finish == "tool_calls"


def test_calls_that_are_cut_finish_with_length() -> None:
    assert said(script('/echo {"tool_calls": [{"name": "f"}]}', limit=1)) == ("", "length")


def test_reflection_is_whole_whatever_the_limit() -> None:
    made = make_script(
        '/echo {"reflect": true}', EchoConfig(), limit=1, room=5, body=b'{"a": "x y z"}'
    )
    assert said(made) == ('{"a": "x y z"}', "length") or said(made)[1] == "stop"
    assert said(made)[0] == '{"a": "x y z"}'


@pytest.mark.parametrize(
    "directive",
    ["", "[]", "{", '{"tokens": -1}', '{"fault": "flood"}', '{"unknown": 1}', '{"status": 200}'],
)
def test_a_malformed_directive_is_refused(directive: str) -> None:
    with pytest.raises(msgspec.MsgspecError):
        script(f"/echo {directive}")


def test_knobs_hold_where_the_directive_is_silent() -> None:
    knobs = EchoConfig(ttft_ms=20, gap_ms=10, fault="cut", fault_after=2)
    made = make_script('/echo {"gap_ms": 0, "fault_after": 0}', knobs, limit=None, room=9)
    assert (made.ttft_s, made.gap_s, made.fault, made.fault_after) == (0.02, 0.0, "cut", 0)


words = st.lists(st.text("abST ", min_size=1, max_size=4), min_size=1, max_size=12).map(" ".join)


@given(words, st.lists(st.text("abST ", min_size=1, max_size=3), min_size=1, max_size=3))
def test_stop_texts_are_never_shown_and_cost_nothing_before_them(
    text: str, stops: list[str]
) -> None:
    directive = "/echo " + msgspec.json.encode({"text": text}).decode()
    shown, finish = said(script(directive, stop=tuple(stops)))
    first = min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))
    assert text.startswith(shown)
    assert not any(stop in shown for stop in stops)
    assert len(shown) <= len(text)
    # A stop that was complete earlier, though it starts later, may end the answer first.
    assert len(shown) >= first
    assert finish == "stop"


@given(st.text())
def test_tokens_are_reversible(text: str) -> None:
    assume = text.encode("utf-8", "replace").decode()
    assert tokens.detokenize(tokens.tokenize(assume)) == assume


@given(st.lists(st.integers(0, 255), min_size=1), st.integers(1, 512))
def test_vectors_have_length_one_and_depend_on_their_input(prompt: list[int], length: int) -> None:
    vector = tokens.embed(prompt, length)
    assert len(vector) == length
    assert sum(value * value for value in vector) == pytest.approx(1.0, abs=1e-5)
    assert vector == tokens.embed(prompt, length)
    if length > 8:
        assert vector != tokens.embed([*prompt, 1], length)


def test_prompts_are_text_tokens_or_both() -> None:
    assert tokens.text_of([104, 105]) == "hi"
    assert tokens.text_of(["say ", 104, 105]) == "say hi"
    with pytest.raises(ValueError, match="'prompt' must be"):
        tokens.text_of(5)


def test_steps_are_values() -> None:
    assert Step(text="a") == Step(text="a")
