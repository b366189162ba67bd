import pytest

from reshore.cli.chat import Conversation, Piece, print_answer
from reshore.errors import Unreachable


class FakeServer:
    """Answers with the words it is given and remembers what it was asked."""

    def __init__(self, *words, error=None):
        self._words = words
        self._error = error
        self.asked = []

    def stream(self, path, body):
        self.asked.append(body["messages"])
        for word in self._words:
            yield {"model": "m", "choices": [{"delta": {"content": word}}]}
        if self._error:
            raise self._error
        yield {"model": "m", "choices": [{"delta": {}, "finish_reason": "stop"}]}
        yield {"model": "m", "choices": [], "usage": {"total_tokens": 1}}


def _said(text, role="user"):
    return {"role": role, "content": text}


def test_an_answer_is_part_of_the_next_question():
    server = FakeServer("yes", " sir")
    conversation = Conversation(server, "m")
    pieces = list(conversation.ask("first"))
    list(conversation.ask("second"))
    assert "".join(piece.text for piece in pieces) == "yes sir"
    assert pieces[-2].finish_reason == "stop"
    assert pieces[-1].usage == {"total_tokens": 1}
    assert server.asked[1] == [_said("first"), _said("yes sir", "assistant"), _said("second")]


def test_a_question_without_an_answer_is_forgotten():
    server = FakeServer(error=Unreachable("gone", backend="b"))
    conversation = Conversation(server, "m")
    for _ in range(2):
        with pytest.raises(Unreachable):
            list(conversation.ask("again"))
    assert server.asked[1] == [_said("again")]


def test_half_an_answer_stays_in_the_history():
    server = FakeServer("half", " an answer")
    conversation = Conversation(server, "m")
    pieces = conversation.ask("first")
    next(pieces)
    pieces.close()
    list(conversation.ask("second"))
    assert server.asked[1][1] == _said("half", "assistant")


def _print(*texts):
    print_answer(Piece(text=text) for text in texts)


def test_an_answer_ends_with_one_newline(capsys):
    _print("a", "b")
    _print("a\n")
    assert capsys.readouterr().out == "ab\na\n"


def test_a_program_gets_the_text_as_it_is(capsys):
    _print("\x1b[31mred")
    assert capsys.readouterr().out == "\x1b[31mred\n"


def test_a_terminal_gets_no_control_characters(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    _print("\x1b[31mred\x07\x9b2J\ttab\n")
    assert capsys.readouterr().out == "[31mred2J\ttab\n"
