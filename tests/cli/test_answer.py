import pytest

from reshore.cli.answer import print_answer, timings
from reshore.cli.native import Counts, Piece

COUNTS = Counts(
    total_s=2.5, load_s=0.5, prompt_tokens=20, prompt_s=0.1, completion_tokens=1, completion_s=0.0
)


def _print(*pieces, **how):
    print_answer((Piece(text=p) if isinstance(p, str) else p for p in pieces), **how)


def _on_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)


def test_an_answer_ends_with_one_newline(capsys):
    _print("a", "b")
    _print("a\n")
    assert capsys.readouterr().out == "ab\na\n"


def test_a_program_gets_the_text_as_it_is(capsys):
    _print("\x1b[31mred")
    assert capsys.readouterr().out == "\x1b[31mred\n"


def test_a_program_gets_no_thoughts(capsys):
    _print(Piece(reasoning="well"), "yes")
    assert capsys.readouterr().out == "yes\n"


def test_a_terminal_gets_no_control_characters(capsys, monkeypatch):
    _on_a_terminal(monkeypatch)
    _print("\x1b[31mred\x07\x9b2J\ttab\n")
    assert capsys.readouterr().out == "[31mred2J\ttab\n"


def test_thoughts_are_dimmed_and_stand_apart_from_the_answer(capsys, monkeypatch):
    _on_a_terminal(monkeypatch)
    _print(Piece(reasoning="well\x1b[2J"), Piece(reasoning=" so"), "yes", " sir")
    assert capsys.readouterr().out == ("\x1b[2mwell[2J\x1b[0m\x1b[2m so\x1b[0m\n\nyes sir\n")


def test_thoughts_can_be_hidden(capsys, monkeypatch):
    _on_a_terminal(monkeypatch)
    _print(Piece(reasoning="well"), "yes", thinking=False)
    assert capsys.readouterr().out == "yes\n"


def test_what_the_server_ignored_is_told_beside_the_answer(capsys):
    _print(Piece(text="yes", notices={"ignored": "options.mirostat", "new": "{}"}))
    captured = capsys.readouterr()
    assert captured.out == "yes\n"
    assert captured.err == "note: without effect here: options.mirostat\nnote: new: {}\n"


@pytest.mark.parametrize(("verbose", "said"), [(False, ""), (True, "note: routed: side=local\n")])
def test_how_an_answer_was_routed_is_told_when_asked_for(capsys, verbose, said):
    _print(Piece(text="yes", notices={"decision": "side=local"}), verbose=verbose)
    assert capsys.readouterr().err == said


def test_what_an_answer_took_is_told_when_asked_for(capsys):
    _print("yes", Piece(counts=COUNTS), verbose=True)
    _print("yes", Piece(counts=COUNTS))
    captured = capsys.readouterr()
    assert captured.out == "yes\nyes\n"
    assert captured.err == timings(COUNTS) + "\n"


def test_timings_have_speeds_where_time_passed():
    total, prompt, answer = timings(COUNTS).splitlines()
    assert "2.50 s" in total
    assert "0.50 s" in total
    assert prompt.endswith("20 tokens in 0.10 s, 200.0 tokens/s")
    assert answer.endswith("1 token in 0.00 s")


def test_an_interrupted_answer_leaves_the_cursor_at_the_start_of_a_line(capsys):
    def pieces():
        yield Piece(text="half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        print_answer(pieces())
    assert capsys.readouterr().out == "half\n"
