"""docs/compare.md: its files are written, its commands are run, from top to bottom."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from reshore.checks.reference import MATCHES
from reshore.cli.main import run
from tests.cli.conftest import install
from tests.cli.test_routing_page import _fits, _lines

PAGE = (Path(__file__).parents[2] / "docs" / "compare.md").read_text(encoding="utf-8")
_BLOCK = re.compile(
    r"<!-- checked(?:: file (\S+))? -->\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE
)


def test_what_the_page_shows_is_what_happens(home, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESHORE_ENGINE_KIND", "echo")
    install(home, "llama3.2")
    install(home, "qwen2.5:7b")
    commands = 0
    for file, text in _BLOCK.findall(PAGE):
        if file:
            Path(file).write_text(text)
            continue
        for piece in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, *expected = piece.splitlines()
            commands += 1
            run(shlex.split(command)[1:])
            printed = capsys.readouterr()
            lines = _lines(printed.out + printed.err)
            assert _fits(lines, _lines("\n".join(expected))), f"$ {command}\n" + "\n".join(lines)
    assert commands >= PAGE.count("<!-- checked -->") > 0


def test_every_way_to_match_is_told():
    assert [match for match in MATCHES if f"`{match}`" not in PAGE] == []
