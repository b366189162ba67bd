"""Pages about routes: every command on them is run, and every file read, from top to bottom."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from reshore.cli.main import run
from reshore.routing.parsing import parse_policy
from tests.cli.conftest import install

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", DOCS / "routing.md", DOCS / "migrate-from-openai.md"]
_BLOCK = re.compile(r"<!-- checked(: file)? -->\n```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_ANYTHING = "…"


def _lines(text: str) -> list[str]:
    """Lines, however wide their columns are."""
    return [re.sub(" {2,}", "  ", line) for line in text.splitlines()]


def _fits(printed: list[str], expected: list[str]) -> bool:
    """Whether lines are as expected, where a line of `…` stands for any number of them."""
    if not expected:
        return not printed
    if expected[0] == _ANYTHING:
        return any(_fits(printed[i:], expected[1:]) for i in range(len(printed) + 1))
    return printed[:1] == expected[:1] and _fits(printed[1:], expected[1:])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_what_the_page_shows_is_what_happens(path, home, capsys):
    page = path.read_text(encoding="utf-8")
    install(home, "llama3.2")
    install(home, "qwen2.5:7b")
    commands = 0
    for is_file, language, text in _BLOCK.findall(page):
        if is_file:
            assert language == "toml"
            (home / "reshore.toml").write_text(text)
            continue
        for piece in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, *expected = piece.splitlines()
            commands += 1
            run(shlex.split(command)[1:])
            printed = capsys.readouterr()
            lines = _lines(printed.out + printed.err)
            assert _fits(lines, _lines("\n".join(expected))), f"$ {command}\n" + "\n".join(lines)
    assert commands >= page.count("<!-- checked -->") > 0


_EXAMPLES = {"A": "local", "B": "cloud", "MODEL": "m", "UPSTREAM": "u", "…": "finish"}


def test_every_policy_of_the_table_can_be_written_as_it_stands_there():
    page = (DOCS / "routing.md").read_text(encoding="utf-8")
    table = page.split("| policy | who answers |")[1].split("\n\n")[0]
    cells = re.findall(r"^\| (.*?) \|", table, re.MULTILINE)
    texts = [text for cell in cells for text in re.findall(r"`([^`]+)`", cell)]
    written = [re.sub(r"\b[A-Z]+\b|…", lambda match: _EXAMPLES[match[0]], text) for text in texts]
    assert len({type(parse_policy(text)) for text in written}) == 8
