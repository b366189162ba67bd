"""docs/cli.md says what the commands do."""

import json
import re
from pathlib import Path

import pytest

from reshore.cli.failure import ExitCode
from reshore.cli.main import COMMANDS
from tests.cli.conftest import command_lines, install

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


def _section(command):
    return PAGE.split(f"\n## {command}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_an_example_its_exit_codes_and_its_json(command):
    section = _section(command)
    assert f"$ reshore {command}" in section
    assert re.search(r"[Ee]xit codes?[: ]", section)
    assert "`--json`" in section


def test_nothing_is_told_twice():
    titles = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert sorted(set(titles)) == sorted(titles)
    rows = re.findall(r"^\| \[`(.+?)`\]", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted(COMMANDS)


def test_every_exit_code_is_explained():
    section = _section("Exit codes")
    assert re.findall(r"^\| (\d+) \|", section, re.MULTILINE) == [str(int(c)) for c in ExitCode]


@pytest.mark.parametrize("line", command_lines(), ids=" ".join)
def test_every_option_is_explained(line, cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    options = set(re.findall(r"--[a-z][a-z-]+", cli(*line, "--help").out)) - {"--help"}
    section = _section(" ".join(line) if " ".join(line) in COMMANDS else line[0])
    assert " ".join(line) in section
    assert [option for option in sorted(options) if option not in section] == []


@pytest.mark.parametrize("arguments", [("list",), ("show", "tiny"), ("config",)])
def test_the_keys_of_the_json_are_those_of_the_page(arguments, cli, home):
    install(home)
    printed = json.loads(cli(*arguments, "--json").out)
    keys = printed[0] if isinstance(printed, list) else printed
    said = _section(arguments[0]).split("`--json`")[1]
    assert set(re.findall(r"`([a-z_]+)`", said)) == set(keys)
