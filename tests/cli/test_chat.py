import pytest

from reshore.cli.chat import converse
from reshore.cli.conversation import Conversation
from reshore.cli.native import NativeApi
from reshore.errors import Unreachable
from tests.cli.fakes import FakeServer


class Typist:
    """Types what it is told; an exception stands for a key."""

    def __init__(self, *messages):
        self._left = list(messages)

    def read(self):
        message = self._left.pop(0) if self._left else EOFError()
        if isinstance(message, BaseException):
            raise message
        return message

    def remember(self, on):
        raise AssertionError("nobody asked for it")


def _talk(server, *messages):
    converse(Conversation(NativeApi(server), "m"), Typist(*messages))


def test_messages_are_answered_and_commands_done_until_the_person_leaves(capsys):
    server = FakeServer("yes", " sir")
    _talk(server, "first", "/set system Be kind.", "", "second", "/bye", "never")
    assert capsys.readouterr().out == "yes sir\nyes sir\n"
    assert [turn["content"] for turn in server.said] == ["Be kind.", "first", "yes sir", "second"]


@pytest.mark.parametrize(
    ("wrong", "hint"), [("/sett", "/?"), ("/load nobody", "nobody"), ("/nowhere/cat.png", "cat")]
)
def test_what_fails_is_one_line_and_the_conversation_goes_on(capsys, wrong, hint):
    server = FakeServer("yes", models={"m": {"capabilities": ["vision"]}})
    _talk(server, wrong, "hello")
    captured = capsys.readouterr()
    [line] = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert hint in line
    assert captured.out == "yes\n\n"


def test_a_failed_answer_is_one_line_after_what_came_of_it(capsys):
    _talk(FakeServer("half", error=Unreachable("it went away", backend="b")), "hello")
    captured = capsys.readouterr()
    assert captured.out == "half\n\n"
    assert captured.err.endswith("error: it went away\n")


def test_ctrl_c_at_the_prompt_tells_how_to_leave(capsys):
    _talk(FakeServer("yes"), KeyboardInterrupt(), "hello")
    captured = capsys.readouterr()
    assert captured.err.count("/bye leaves") == 2
    assert captured.out == "yes\n\n"


def test_answers_take_what_was_set(capsys):
    _talk(FakeServer("yes"), "/set verbose", "hello")
    assert "2 tokens in 1.50 s" in capsys.readouterr().err
