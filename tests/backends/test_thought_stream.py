import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.backends.thought_stream import ThoughtStream
from reshore.models.thinking import Marks

MARKS = Marks("<think>", "</think>")


def split(pieces: list[str], *, opened: bool) -> tuple[str, str]:
    stream = ThoughtStream(MARKS, opened=opened)
    parts = [stream.feed(piece) for piece in pieces] + [stream.finish()]
    return "".join(thought for thought, _ in parts), "".join(answer for _, answer in parts)


@pytest.mark.parametrize(
    ("text", "opened", "thought", "answer"),
    [
        ("<think>\nso\n</think>\n\n{}", False, "so", "{}"),
        ("\n<think>so</think>{}", True, "so", "{}"),
        ("so\n</think>\n\n{}", True, "so", "{}"),
        ("\n</think>\n\n{}", True, "", "{}"),
        ("{} </think>", False, "", "{} </think>"),
        ("a <b </think>c</think>", True, "a <b", "c</think>"),
        ("<think>never ends </thi", False, "never ends </thi", ""),
        ("so", True, "so", ""),
        ("<thin", False, "", ""),
        ("", True, "", ""),
    ],
)
def test_a_thought_is_taken_out_however_the_text_is_cut(
    text: str, opened: bool, thought: str, answer: str
) -> None:
    assert split([text], opened=opened) == (thought, answer)
    assert split(list(text), opened=opened) == (thought, answer)


CHANNELS = Marks("<a>", "<end><b>", "<b>")


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [("<a>so<end><b>{}", "so", "{}"), ("<b>{}", "", "{}"), ("<b>", "", ""), ("{}", "", "{}")],
)
def test_an_answer_may_have_a_mark_of_its_own(text: str, thought: str, answer: str) -> None:
    for pieces in ([text], list(text)):
        stream = ThoughtStream(CHANNELS, opened=False)
        parts = [*map(stream.feed, pieces), stream.finish()]
        assert ("".join(p[0] for p in parts), "".join(p[1] for p in parts)) == (thought, answer)


PIECES = st.sampled_from(["<think>", "</think>", "<", "</thin", " ", "\n", "a", "{"])


@given(st.lists(PIECES, max_size=8), st.booleans())
def test_nothing_but_tags_and_blanks_is_lost(pieces: list[str], opened: bool) -> None:
    text = "".join(pieces)
    whole = split([text], opened=opened)
    assert split(pieces, opened=opened) == whole
    dense, kept = "".join(text.split()), "".join("".join(whole).split())
    unopened = dense.removeprefix("<think>")
    ways = {dense, unopened, *(t.replace("</think>", "", 1) for t in (dense, unopened))}
    assert kept in ways or "<think>".startswith(dense)


def test_what_can_be_told_is_told_at_once() -> None:
    stream = ThoughtStream(MARKS, opened=True)
    assert stream.feed("I ") == ("I", "")
    assert stream.feed("see </") == (" see", "")
    assert stream.feed("b") == (" </b", "")
    assert stream.feed("\n</think>\n") == ("", "")
    assert stream.feed("{") == ("", "{")


def test_an_engine_that_took_the_thought_out_leaves_the_answer() -> None:
    stream = ThoughtStream(MARKS, opened=True)
    stream.answer()
    assert stream.feed("\n\n{") == ("", "{")
    assert stream.feed(" }") == ("", " }")
