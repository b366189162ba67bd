"""The behaviours that Ollama's own tests pin, and where ours show them: `ollama_cases.toml`."""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from pathlib import Path

from msgspec import Struct, convert

ROOT = Path(__file__).parent.parent
LAST = 106


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One behaviour.

    Attributes:
        number: in the list of the facts about Ollama's API.
        says: the behaviour, in our own words.
        tests: which of ours hold it, as pytest names them, without parameters.
        why: the reason where there are none.
        differs: what we do instead, where that is better.
    """

    number: int
    says: str
    tests: tuple[str, ...] = ()
    why: str = ""
    differs: str = ""


def cases() -> list[Case]:
    text = Path(__file__).with_name("ollama_cases.toml").read_text()
    return convert(tomllib.loads(text)["case"], list[Case])


@cache
def names(path: Path) -> frozenset[str]:
    """The tests of a file: `name`, or `Class::name`."""
    body = ast.parse(path.read_text()).body
    found = functions(body)
    for node in body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{name}" for name in functions(node.body)}
    return frozenset(found)


def functions(body: list[ast.stmt]) -> set[str]:
    return {
        node.name
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


def test_every_case_is_there_once_and_in_order() -> None:
    assert [case.number for case in cases()] == list(range(1, LAST + 1))


def test_every_case_is_said_and_has_either_tests_or_a_reason() -> None:
    for case in cases():
        assert case.says, case.number
        assert bool(case.tests) != bool(case.why), case.number
        assert not (case.differs and case.why), case.number


def test_every_test_that_is_named_exists() -> None:
    for case in cases():
        for test in case.tests:
            path, _, name = test.partition("::")
            assert (ROOT / path).is_file(), f"case {case.number}: {path}"
            assert name in names(ROOT / path), f"case {case.number}: {test}"
