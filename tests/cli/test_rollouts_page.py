"""docs/rollouts.md: every command is run against a server, and its Python reads our signatures."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path

from reshore.cli.main import run
from reshore.evals.rollouts.webhook import signature
from tests.cli.conftest import install, served
from tests.cli.test_routing_page import _fits, _lines

PAGE = (Path(__file__).parents[2] / "docs" / "rollouts.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"<!-- checked -->\n```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_what_the_page_shows_is_what_happens(home, capsys):
    [settings] = re.findall(r"<!-- checked: file -->\n```toml\n(.*?)```", PAGE, re.DOTALL)
    (home / "reshore.toml").write_text(settings)
    install(home, "llama3.2")
    commands = 0
    with served(home, "--log-level", "error"):
        for block in _BLOCK.findall(PAGE):
            for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, *expected = piece.splitlines()
                commands += 1
                run(shlex.split(command)[1:])
                printed = capsys.readouterr()
                lines = [_without_name(line) for line in _lines(printed.out + printed.err)]
                fits = _fits(lines, _lines("\n".join(expected)))
                assert fits, f"$ {command}\n" + "\n".join(lines)
    assert commands >= 6


def _without_name(line: str) -> str:
    return re.sub(r"(resumed by) \S+$", r"\1 …", line)


def test_its_check_of_signatures_takes_ours_and_no_others():
    [code] = re.findall(r"<!-- signed -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    names = {}
    exec(code, names)
    body, now_s = b'{"event":"promoted"}', int(time.time())
    header = signature(b"secret", body, now_s)
    assert names["is_genuine"](b"secret", header, body)
    assert not names["is_genuine"](b"secret", header, body + b" ")
    assert not names["is_genuine"](b"other", header, body)
    assert not names["is_genuine"](b"secret", signature(b"secret", body, now_s - 600), body)
