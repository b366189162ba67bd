import json
import subprocess
import sys

import pytest

from reshore import __version__
from reshore.cli.main import COMMANDS, load_command
from tests.cli.conftest import RESHORE, command_lines, environment, execute, install

HEAVY = ("aiohttp", "starlette", "uvicorn", "numpy", "xllamacpp", "jsonschema")


def test_the_version_is_printed(cli):
    assert cli("--version").out == f"reshore {__version__}\n"


def test_no_arguments_print_help(cli):
    ended = cli()
    assert all(name in ended.out + ended.err for name in COMMANDS)


def test_help_lists_every_command_with_its_summary(cli):
    ended = cli("--help")
    assert ended.code == 0
    for name, summary in COMMANDS.items():
        assert name in ended.out
        assert summary in ended.out


@pytest.mark.parametrize("line", command_lines(), ids=" ".join)
def test_every_command_has_help_and_json(line, cli):
    ended = cli(*line, "--help")
    assert ended.code == 0
    assert "--json" in ended.out
    name = " ".join(line)
    name = name if name in COMMANDS else line[0]
    assert load_command(name).name == name


@pytest.mark.parametrize("line", command_lines(), ids=" ".join)
def test_no_line_of_help_is_wider_than_80_columns(line, cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, cli(*line, "--help").out.splitlines())) <= 80


def test_help_shows_brackets_and_flags_as_they_are_typed(cli):
    assert "[default: Modelfile]" in cli("create", "--help").out
    assert "[host/namespace/]name[:tag]" in cli("pull", "--help").out
    assert "--json  " in cli("list", "--help").out  # no value


@pytest.mark.parametrize("arguments", [("sevre",), ("list", "--jsn"), ("show",)])
def test_a_wrong_command_line_is_usage(arguments, cli):
    ended = cli(*arguments)
    assert ended.code == 2
    assert ended.out == ""


def test_a_command_that_is_nearly_right_is_suggested(cli):
    assert "serve" in cli("sevre").err


def test_a_light_command_does_not_import_the_server(home):
    modules = ", ".join(f"reshore.cli.{name}" for name in ("ps", "stop", "list", "show", "rm"))
    code = f"import sys, {modules}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_reader_that_goes_away_ends_the_command_quietly(home):
    process = subprocess.Popen(
        [*RESHORE, "config", "--json"],
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 1
    process.stderr.close()


def test_an_unknown_key_in_the_file_is_one_line_with_the_nearest_key(home):
    (home / "reshore.toml").write_text("[engine]\nthread = 2\n")
    ended = execute(home, "list")
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    assert "reshore.toml" in ended.err
    assert "Did you mean engine.threads?" in ended.err


def test_a_file_that_is_no_toml_is_one_line(cli, home):
    (home / "reshore.toml").write_text("[engine\n")
    ended = cli("list")
    assert ended.code == 1
    assert ended.err.startswith("error: ")
    assert str(home / "reshore.toml") in ended.err


def test_an_unknown_variable_names_the_nearest(cli, monkeypatch):
    monkeypatch.setenv("RESHORE_HOTS", "x")
    assert "Did you mean RESHORE_HOST?" in cli("list").err


def test_a_home_that_cannot_be_read_is_one_line(cli, home):
    (home / "models").write_text("not a folder")
    ended = cli("create", "x", "--from", str(home / "missing.gguf"))
    assert ended.code == 1
    assert ended.err.count("\n") == 1


def test_what_is_piped_is_not_cut_to_a_terminal(home):
    name = "a-very-long-namespace-for-a-model/" + "m" * 70
    install(home, name="tiny")
    assert execute(home, "create", name, "--from", str(home.parent / "tiny.gguf")).code == 0
    assert f"{name}:latest" in execute(home, "list").out
    assert json.loads(execute(home, "list", "--json").out)[0]["name"] == f"{name}:latest"
