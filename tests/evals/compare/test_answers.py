"""Answers are kept in a file, so that none is asked for twice."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from reshore.errors import CompareError
from reshore.evals.compare.answers import AnswerFile, key_of
from tests.evals.compare.asked import answer, prompt


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.answers.jsonl"


def test_what_was_added_is_there_the_next_time(path: Path) -> None:
    with AnswerFile(path) as kept:
        kept.add(answer("yes", key="a"))
        kept.add(answer(key="b", error="status 500"))
    again = AnswerFile(path)
    assert again.last("a") == answer("yes", key="a")
    assert (again.has("a"), again.has("b"), again.has("c")) == (True, False, False)
    assert again.last("b") == answer(key="b", error="status 500")


def test_of_two_answers_the_later_one_counts(path: Path) -> None:
    with AnswerFile(path) as kept:
        kept.add(answer(key="a", error="down"))
        kept.add(answer("up again", key="a"))
    assert AnswerFile(path).last("a") == answer("up again", key="a")


def test_a_line_that_a_kill_cut_short_is_passed_over_and_what_follows_is_not(path: Path) -> None:
    with AnswerFile(path) as kept:
        kept.add(answer("whole", key="a"))
        kept.add(answer("torn", key="b"))
    path.write_bytes(path.read_bytes()[:-9])
    with AnswerFile(path) as kept:
        assert not kept.has("b")
        kept.add(answer("anew", key="b"))
    again = AnswerFile(path)
    assert again.has("a")
    assert again.last("b") == answer("anew", key="b")


def test_of_a_line_that_finds_no_room_nothing_is_taken_for_an_answer(path: Path) -> None:
    with AnswerFile(path) as kept:
        kept.add(answer("whole", key="a"))
        with (
            no_more_than(path.stat().st_size + 20),
            pytest.raises(CompareError, match="cannot write"),
        ):
            kept.add(answer("too long", key="b"))
        kept.add(answer("again", key="c"))
    again = AnswerFile(path)
    assert (again.has("a"), again.has("b"), again.has("c")) == (True, False, True)


@contextlib.contextmanager
def no_more_than(size: int) -> Iterator[None]:
    """Files of this process grow to this size alone, as on a disk that is full."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_nobody_else_may_read_it(path: Path) -> None:
    with AnswerFile(path):
        assert path.stat().st_mode & 0o777 == 0o600


def test_another_file_is_not_added_to(path: Path) -> None:
    path.write_text("dear diary\nit rained\nand rained\n")
    with pytest.raises(CompareError, match="holds no answers"):
        AnswerFile(path)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "a"
    with pytest.raises(CompareError, match=r"cannot write .*nowhere"), AnswerFile(path):
        pass


def test_other_words_targets_and_parameters_have_other_answers() -> None:
    keys = {
        key_of(prompt("a"), "t"),
        key_of(prompt("b"), "t"),
        key_of(prompt("a"), "u"),
        key_of(prompt("a", system="Be short."), "t"),
    }
    assert len(keys) == 4
    assert key_of(prompt("a", id=1, reference="x"), "t") in keys  # what is right is not asked
