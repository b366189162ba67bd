"""`reshore rollout`."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from itertools import count
from pathlib import Path

import aiohttp
import pytest

from reshore.cli.admin import AdminClient
from reshore.cli.main import run
from reshore.testing import ScriptedUpstream
from tests.cli.conftest import served

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
NAME = "gpt-4o-mini"
SETTINGS = (
    '[upstreams.openai]\nurl = "http://127.0.0.1:9/v1"\n[evaluation]\nsufficient = ["json"]\n'
)


@pytest.fixture
def rolling(serve, home):
    """A server with the model `tiny`, an upstream that nobody asks, and a check that is enough."""
    (home / "reshore.toml").write_text(SETTINGS)
    return serve("--log-level", "error")


@pytest.fixture
def begun(rolling, cli):
    assert cli("rollout", "start", NAME, "--to", "local:tiny", "--why", "cheaper").code == 0
    return rolling


def test_it_needs_a_server(cli):
    for arguments in (("start", NAME), ("status",), ("list",), ("pause", NAME), ("abort", NAME)):
        ended = cli("rollout", *arguments)
        assert (ended.code, ended.out) == (1, "")
        assert "start one with `reshore serve`" in ended.err


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--to", "here", "--to:"),
        ("--to", "split(local=1, cloud=1)", "is no side; write local, local:MODEL"),
        ("--steps", "1,few", "'1,few' are no percents"),
        ("--guard", "net_win>0", "--guard: the guard 'net_win>0' cannot be used"),
        ("--hold", "soon", "--hold: 'soon' is not a duration"),
        ("--compared", "5", "--compared: 5 is not above 0 and at most 100 %"),
        ("--compared", "some", "write 5%"),
        ("--min-pairs", "many", "Invalid value for '--min-pairs'"),
    ],
)
def test_a_plan_that_cannot_be_read_is_usage(cli, option, value, says):
    ended = cli("rollout", "start", NAME, option, value)
    assert ended.code == 2
    assert says in " ".join(ended.err.split())


def test_a_rollout_is_listed_and_shown(begun, cli):
    status = cli("rollout", "status", NAME).out
    assert re.search(r"state +running", status)
    assert re.search(r"waits for +0 of 200 decided pairs are there", status)
    assert NAME in cli("rollout", "status").out
    cli("rollout", "abort", NAME, "--why", "too early")
    assert re.search(rf"1 +{NAME} +local +aborted +0 % .*too early", cli("rollout", "list").out)
    ended = cli("rollout", "status")
    assert (ended.out, ended.err) == ("", "no rollout runs\n")


def test_every_option_reaches_the_plan(rolling, cli):
    ended = cli(
        *("rollout", "start", NAME, "--to", "local:tiny", "--steps", "10%,100", "--hold", "1h30m"),
        *("--guard", "net_win>=-0.1", "--guard", "error_rate<=2%", "--min-pairs", "50"),
        *("--compared", "0.2", "--alpha", "0.1", "--why", "to see", "--if-version", "0", "--json"),
    )
    shown = json.loads(ended.out)
    assert shown["guards"] == ["net_win>=-0.1", "error_rate<=+0.02"]
    assert (shown["steps"], shown["hold_s"], shown["min_pairs"]) == ([10.0, 100.0], 5400.0, 50)
    assert (shown["compared"], shown["alpha"], shown["why"]) == (0.2, 0.1, "to see")
    [made] = json.loads(cli("route", "history", "--json").out)
    assert (made["author"], made["evidence"]) == ("rollout", {"rollout": 1})
    refused = cli("rollout", "start", "gpt-4o", "--to", "local:tiny", "--if-version", "7")
    assert (refused.code, "version 1 of the routes is in force" in refused.err) == (1, True)


def test_what_cannot_be_done_says_why(begun, cli):
    assert cli("rollout", "status", "gpt-4o").code == 3
    assert "is running already" in cli("rollout", "start", NAME, "--to", "local:tiny").err
    assert "cannot be resumed; it can be paused" in cli("rollout", "resume", NAME).err
    assert "nobody' is not installed" in cli("rollout", "start", "o3", "--to", "local:nobody").err


@pytest.mark.parametrize("arguments", [("status", NAME), ("list",), ("pause", NAME)])
def test_the_keys_of_the_json_are_on_the_page(begun, cli, arguments):
    found = json.loads(cli("rollout", *arguments, "--json").out)
    said = PAGE.split("\n## rollout\n")[1].split("\n## ")[0].split("`--json`:")[1]
    for key in found[0] if isinstance(found, list) else found:
        assert f"`{key}`" in said


def ended(shown: dict) -> bool:
    return shown["state"] == "done" and not shown["due"]


class Crowd:
    """Clients of a server that may be killed at any time."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._numbers = count()

    async def ask(self, url: str) -> None:
        body = {
            "model": NAME,
            "messages": [{"role": "user", "content": f'{{"question": {next(self._numbers)}}}'}],
            "response_format": {"type": "json_object"},
        }
        async with self._session.post(f"{url}/v1/chat/completions", json=body) as response:
            assert response.status == 200, await response.text()

    async def until(self, url: str, home: Path, enough) -> dict:
        """Ask until the rollout is so."""
        admin = AdminClient(home)
        async with asyncio.timeout(60):
            while True:
                shown = json.loads(await asyncio.to_thread(admin.get, f"/admin/rollouts/{NAME}"))
                if enough(shown):
                    return shown
                await asyncio.gather(*(self.ask(url) for _ in range(8)))


async def test_kill_9_in_the_middle_of_a_rollout_leaves_it_to_go_on(home, serve):
    async with ScriptedUpstream() as cloud, aiohttp.ClientSession() as session:
        text = SETTINGS.replace("http://127.0.0.1:9/v1", cloud.url)
        (home / "reshore.toml").write_text(f"{text}[engine.echo]\ntokens = 2\n")
        crowd = Crowd(session)
        quiet = ("--log-level", "error")
        first = await asyncio.to_thread(serve, *quiet)
        plan = ("--to", "local:tiny", "--steps", "30,60,100", "--compared", "100%", "--hold", "0s")
        guards = ("--guard", "net_win>=-0.3", "--min-pairs", "40")
        assert await asyncio.to_thread(run, ["rollout", "start", NAME, *plan, *guards]) == 0
        await crowd.until(first.url, home, lambda shown: shown["step"] == 2)
        await asyncio.to_thread(first.stop, signal.SIGKILL)

        second = await asyncio.to_thread(lambda: served(home, *quiet))
        with second as server:
            done = await crowd.until(server.url, home, ended)
        assert (done["number"], done["began"], done["share"]) == (1, 1, 100.0)
        assert done["versions"] == [2, 3, 4]
        assert len(list((home / "routes").glob("0*.json"))) == 4
