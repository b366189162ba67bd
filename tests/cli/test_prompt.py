import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.cli.prompt import FIRST, MORE, Prompt, read_message


def _typed(*lines):
    """Answers one line after the other, and what was shown before each."""
    left, shown = list(lines), []

    def ask(prompt):
        shown.append(prompt)
        if not left:
            raise EOFError
        return left.pop(0)

    return ask, shown


def _read(*lines):
    ask, _ = _typed(*lines)
    return read_message(ask)


def test_a_line_is_a_message_without_blanks_around_it():
    assert _read("  hello there ", "next") == "hello there"


def test_quotes_open_a_message_of_several_lines():
    ask, shown = _typed('"""one', "", '  two"""')
    assert read_message(ask) == "one\n\n  two"
    assert shown == [FIRST, MORE, MORE]


def test_quotes_may_close_on_the_line_that_opened_them():
    assert _read('"""one""" two') == "one two"


def test_a_system_prompt_may_have_several_lines():
    assert _read('/set  system """Be kind.', 'Be short."""') == "/set  system Be kind.\nBe short."


@pytest.mark.parametrize("line", ['print("""doc""")', 'what is """ in Python?', '/save """'])
def test_quotes_elsewhere_are_text(line):
    assert _read(line) == line


def test_the_end_of_input_amid_a_message_is_the_end():
    with pytest.raises(EOFError):
        _read('"""one', "two")


@given(st.text(st.characters(exclude_characters='"\r'), max_size=40))
def test_what_stands_between_quotes_comes_as_it_is(text):
    assert _read(*f'"""{text}"""'.split("\n")) == text.strip()


@pytest.fixture
def typing(monkeypatch):
    """What is typed next, with a terminal that is none."""

    def type_(*lines):
        left = iter(lines)
        monkeypatch.setattr("builtins.input", lambda _: next(left))

    return type_


def test_the_history_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "history"
    path.write_text("before\n")
    path.chmod(0o644)
    Prompt(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == "before\n"


def test_a_new_history_is_for_its_owner_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        Prompt(tmp_path / "history")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "history").stat().st_mode) == 0o600


def test_what_is_typed_is_kept_for_the_next_time_unless_told_otherwise(tmp_path, typing):
    path = tmp_path / "history"
    prompt = Prompt(path)
    typing("one", "", "secret", "two")
    prompt.read()
    prompt.read()
    prompt.remember(False)
    prompt.read()
    prompt.remember(True)
    prompt.read()
    assert path.read_text() == "one\ntwo\n"


def test_a_long_history_is_cut_at_its_beginning(tmp_path):
    path = tmp_path / "history"
    path.write_text("".join(f"{number}\n" for number in range(1500)))
    Prompt(path)
    lines = path.read_text().splitlines()
    assert (len(lines), lines[0], lines[-1]) == (1000, "500", "1499")


def test_a_history_that_cannot_be_kept_is_no_error(tmp_path, typing):
    typing("hello")
    assert Prompt(tmp_path / "nowhere" / "history").read() == "hello"
