"""`reshore route`, on the history alone and through a server."""

from __future__ import annotations

import json
import subprocess

import pytest

from reshore.cli.operated import operations
from reshore.errors import AlreadyRunning
from reshore.routing.history import History
from reshore.server.listen import home_lock
from tests.cli.conftest import RESHORE, environment, execute
from tests.cli.test_docs import PAGE

FILE = '[upstreams.openai]\nurl = "http://127.0.0.1:9/v1"\n'


@pytest.fixture
def routed(home):
    """A home with an upstream that nobody asks."""
    (home / "reshore.toml").write_text(FILE)
    return home


@pytest.fixture
def printed(cli):
    """Runs a command that has to work, and reads its JSON."""

    def call(*arguments):
        ended = cli(*arguments, "--json")
        assert ended.code == 0, ended.err
        return json.loads(ended.out)

    return call


def test_a_route_is_set_and_shown(routed, cli):
    ended = cli("route", "set", "gpt-4o-mini", "split", "local=10,cloud=90", "--local", "tiny")
    assert ended.out == "+ gpt-4o-mini: split(local=10, cloud=90) [local tiny]\n"
    warning, version = ended.err.splitlines()
    assert warning.startswith("warning: gpt-4o-mini: 'tiny' is not installed here: `reshore pull")
    assert version == "version 1 is in force; `reshore rollback 0` takes it back"
    shown = cli("route", "show").out.splitlines()
    assert shown[0].startswith("version 1, ")
    assert shown[2:] == [
        "NAME         POLICY                     LOCAL",
        "gpt-4o-mini  split(local=10, cloud=90)  tiny",
    ]


def test_the_author_is_who_is_logged_in(routed, cli, printed, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ada")
    cli("route", "set", "gpt-4o", "cloud", "--why", "the model is not here yet")
    [past] = printed("route", "history")
    assert (past["author"], past["reason"]) == ("ada", "the model is not here yet")


def test_versions_are_listed_with_what_they_changed(routed, cli):
    cli("route", "set", "gpt-4o", "cloud")
    cli("route", "set", "gpt-4o", "local")
    lines = cli("route", "history").out.splitlines()
    assert lines[0].split() == ["VERSION", "AGE", "BY", "WHY", "CHANGES"]
    assert lines[1].startswith("2 *")
    assert lines[1].endswith("~ gpt-4o: cloud -> local")
    assert len(cli("route", "history", "--limit", "1").out.splitlines()) == 2


def test_versions_are_compared(routed, cli):
    cli("route", "set", "gpt-4o", "cloud")
    cli("route", "set", "gpt-4o", "local")
    assert cli("route", "diff", "1", "2").out == "~ gpt-4o: cloud -> local\n"
    assert cli("route", "diff", "0").out == "+ gpt-4o: local\n"
    assert cli("route", "diff", "2", "2").err == "versions 2 and 2 do the same\n"


def test_the_route_of_a_name_is_that_of_the_pattern_that_fits(routed, cli, printed):
    cli("route", "set", "gpt-4o*", "cloud", "--no-pins")
    shown = printed("route", "show", "gpt-4o-mini")
    assert (shown["name"], shown["policy"], shown["pins"]) == ("gpt-4o*", "cloud", False)
    assert "pins          no" in cli("route", "show", "gpt-4o-mini").out
    ended = cli("route", "show", "o3")
    assert (ended.code, ended.out) == (3, "")


def test_a_route_is_removed(routed, cli):
    cli("route", "set", "gpt-4o", "cloud")
    assert cli("route", "remove", "gpt-4o").out == "- gpt-4o: cloud\n"
    assert cli("route", "remove", "gpt-4o").code == 3


def test_the_panic_switch_is_turned_and_shown(routed, cli):
    assert cli("route", "all", "cloud").out == "~ panic switch: off -> all cloud\n"
    assert "panic switch: all cloud" in cli("route", "show").out
    assert cli("route", "all", "cloud").err.startswith("nothing to change: version 1")
    assert cli("route", "all", "normal").out == "~ panic switch: all cloud -> off\n"
    assert cli("route", "all", "clowd").code == 2


def test_a_change_for_another_version_is_refused(routed, cli):
    assert cli("route", "set", "a", "local", "--if-version", "0").code == 0
    ended = cli("route", "set", "b", "local", "--if-version", "0")
    assert ended.code == 1
    assert "version 1 of the routes is in force, not 0" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("set", "x", "splitt", "local=1"), 2, "Did you mean split?"),
        (("set", "x"), 2, "policy"),
        (("set", "x", "cloud:azure"), 1, "There is no upstream 'azure'"),
        (("explain",), 2, "name a model"),
        (("explain", "x", "--pin", "here"), 2, "--pin is local or cloud"),
        (("explain", "x", "--header", "nothing"), 2, "NAME:VALUE"),
        (("diff", "1", "2"), 3, "no version 1"),
        (("sett",), 2, "set"),
    ],
)
def test_what_cannot_be_done_is_one_line(routed, cli, arguments, code, says):
    ended = cli("route", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert says in ended.err


def test_embeddings_of_several_models_need_force(routed, cli):
    words = ("route", "set", "text-embedding-3-small", "split(local:nomic-embed-text=1, cloud=1)")
    ended = cli(*words)
    assert (ended.code, "--force" in ended.err) == (1, True)
    assert "[mixed embeddings]" in cli(*words, "--force").out


def test_a_request_is_explained(routed, cli, printed):
    cli("route", "set", "gpt-4o", "hybrid", "--local", "tiny")
    words = ("route", "explain", "gpt-4o", "Prove it, and write Python code that checks it.")
    lines = cli(*words).out.splitlines()
    assert lines[0].split() == ["name", "gpt-4o"]
    assert any(line.startswith("complexity") for line in lines)
    assert any(line.startswith("why") and "score" in line for line in lines)
    assert printed(*words)["plan"] in ("local:tiny", "cloud:openai/gpt-4o")
    assert printed(*words, "--pin", "cloud")["plan"] == "cloud:openai/gpt-4o"


def test_a_whole_request_is_explained(routed, cli, printed, tmp_path):
    cli("route", "set", "gpt-4o", "split(local:tiny=1, cloud=1, sticky=header:x-team)")
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"model": "gpt-4o", "messages": []}))
    said = printed("route", "explain", "--file", str(file), "--header", "X-Team: a")
    assert "x-team hash" in said["decision"]["why"] or "header hash" in said["decision"]["why"]
    file.write_text("[]")
    assert cli("route", "explain", "--file", str(file)).code == 2


def test_privacy_rules_are_explained(routed, cli):
    (routed / "reshore.toml").write_text(f'{FILE}[privacy]\nnames = ["gpt-*"]\n')
    out = cli("route", "explain", "gpt-4o", "hi").out
    assert "its name matches gpt-*" in out
    assert "refused" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("set", "a", "local"),
        ("show",),
        ("history",),
        ("diff", "0"),
        ("explain", "a", "hi"),
    ],
)
def test_the_keys_of_the_json_are_on_the_page(routed, cli, printed, arguments):
    cli("route", "set", "b", "local")
    found = printed("route", *arguments)
    said = PAGE.split("\n## route\n")[1].split("\n## ")[0].split("`--json`:")[1]
    for key in found[0] if isinstance(found, list) else found:
        assert f"`{key}`" in said


def test_commands_at_the_same_time_wait_for_each_other(routed):
    running = [
        subprocess.Popen(
            [*RESHORE, "route", "set", f"m{i}", "local"],
            env=environment(routed),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for i in range(3)
    ]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert History(routed / "routes").current()[0].number == 3


def test_a_lock_that_nobody_gives_back_is_told(routed):
    with home_lock(routed), pytest.raises(AlreadyRunning), operations(patience_s=0):
        raise AssertionError


def test_a_damaged_version_is_told(routed, cli):
    cli("route", "set", "a", "local")
    cli("route", "set", "a", "cloud")
    (routed / "routes" / "000002.json").write_text("?")
    ended = cli("route", "show")
    assert "a     local" in ended.out
    assert "warning: " in ended.err
    assert "000002.json is damaged" in ended.err
    assert "000002.json is damaged" in cli("route", "history").out


# Through a server


def test_a_running_server_is_asked(serve, home):
    (home / "reshore.toml").write_text(f'{FILE}[routes]\n"gpt-4o" = "cloud"\n')
    serve("--log-level", "error")
    assert "gpt-4o  cloud" in execute(home, "route", "show").out
    changed = execute(home, "route", "set", "hf.co/a/b:*", "local:tiny", "--why", "to try it")
    assert changed.out == "+ hf.co/a/b:*: local:tiny\n"
    assert execute(home, "route", "set", "x", "cloud:azure").code == 1
    assert execute(home, "route", "show", "nope").code == 3
    assert execute(home, "route", "diff", "0", "9").code == 3
    explained = json.loads(execute(home, "route", "explain", "hf.co/a/b:c", "hi", "--json").out)
    assert (explained["plan"], explained["version"]) == ("local:tiny", 2)
    assert execute(home, "route", "remove", "hf.co/a/b:*").out == "- hf.co/a/b:*: local:tiny\n"
    assert len(json.loads(execute(home, "route", "history", "--json").out)) == 3


def test_a_broken_file_is_shown_and_going_back_still_works(serve, home):
    (home / "reshore.toml").write_text(f'{FILE}[routes]\n"gpt-4o" = "cloud"\n')
    server = serve()
    execute(home, "route", "set", "gpt-4o", "local:tiny")
    (home / "reshore.toml").write_text(f'{FILE}[routes]\n"gpt-4o" = "clod"\n')
    assert "gpt-4o" in server.read_until("the routes stay as they were")
    shown = execute(home, "route", "show")
    assert "local:tiny" in shown.out
    assert 'routes."gpt-4o"' in shown.err
    assert execute(home, "rollback").out == "~ gpt-4o: local:tiny -> cloud\n"


def test_an_edit_of_the_file_is_in_force_without_a_restart(serve, home):
    file = home / "reshore.toml"
    file.write_text(f'{FILE}[routes]\n"gpt-4o" = "cloud"\n')
    server = serve()
    file.write_text(f'{FILE}[routes]\n"gpt-4o" = "local:tiny"\n[aliases]\nmini = "tiny"\n')
    assert "version 2" in server.read_until("has new routes")
    explained = json.loads(execute(home, "route", "explain", "mini", "hi", "--json").out)
    assert (explained["plan"], explained["version"]) == ("local:tiny", 2)
