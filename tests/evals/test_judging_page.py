"""The examples of docs/judging.md work as they stand there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from reshore.config.evaluation import EvaluationConfig
from reshore.evals.expected import Expected
from reshore.evals.program import Program
from reshore.evals.scoring import Heard
from reshore.types import ChatRequest, Message
from tests.evals.contests import heard

PAGE = (Path(__file__).parents[2] / "docs" / "judging.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(
    ("question", "result"),
    [("Which animal barks, in one word?", "win"), ("Which animal barks?", "undecided")],
)
async def test_the_function_decides(tmp_path: Path, question: str, result: str) -> None:
    [code] = blocks("python")
    (tmp_path / "mine.py").write_text(code)
    request = ChatRequest(model="m", messages=(Message(role="user", content=question),))
    first: Heard = heard("It is the dog.")
    program = Program(f"{tmp_path / 'mine.py'}:better")
    assert (await program.decide(request, first, heard("dog"), Expected())).result == result


def test_the_settings_are_settings() -> None:
    [text] = blocks("toml")
    read = msgspec.convert(tomllib.loads(text)["evaluation"], EvaluationConfig)
    assert read.judge.startswith("cloud:")
    assert read.judge_per_hour == EvaluationConfig().judge_per_hour
