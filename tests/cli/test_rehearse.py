"""`reshore rehearse`, in a process of its own."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from reshore.config import load
from reshore.testing import FAULTS, load_scenario
from tests.cli.conftest import RESHORE, Ended, environment

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
STREAM = {"model": "x", "messages": [{"role": "user", "content": "a b c d e"}], "stream": True}


@contextmanager
def rehearsing(home: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A rehearsal that accepts requests; ended when the block has."""
    process = subprocess.Popen(
        [*RESHORE, "rehearse", *arguments],
        env=environment(home),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def ask(url: str) -> tuple[http.client.HTTPResponse, bytes]:
    address = urlsplit(url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    connection.request("POST", f"{address.path}/chat/completions", json.dumps(STREAM))
    response = connection.getresponse()
    try:
        body = response.read()
    except http.client.IncompleteRead as cut:
        body = cut.partial
    connection.close()
    return response, body


def read_json(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    lines = ""
    while "}" not in lines:
        lines += process.stdout.readline()
    return json.loads(lines)


def test_what_it_prints_is_an_upstream_for_the_settings(home: Path) -> None:
    with rehearsing(home) as process:
        assert process.stdout is not None
        printed = process.stdout.readline() + process.stdout.readline()
        (home / "reshore.toml").write_text(printed)
        upstream = load().upstreams["rehearsal"]
        assert tomllib.loads(printed)["upstreams"]["rehearsal"] == {"url": upstream.url}
        _, body = ask(upstream.base_url())
        assert body.endswith(b"data: [DONE]\n\n")
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "1 requests over 1 connections" in told


def test_it_fails_as_it_is_told(home: Path) -> None:
    with rehearsing(home, "--fault", "429", "--retry-after", "2", "--json") as process:
        started = read_json(process)
        assert started["pid"] == process.pid
        response, body = ask(started["url"])
        assert (response.status, response.headers["retry-after"]) == (429, "2")
        assert b"rate_limit_exceeded" in body


def test_what_does_not_fail_says_what_it_is_told_as_well(home: Path) -> None:
    told = ("--fault", "503", "--rate", "0", "--text", "all is well", "--json")
    with rehearsing(home, *told) as process:
        response, body = ask(read_json(process)["url"])
        assert response.status == 200
        words = re.findall(rb'"content":"([^"]*)"', body)
        assert b"".join(words) == b"all is well"


def test_a_scenario_is_played(home: Path) -> None:
    file = home / "s.toml"
    file.write_text('[[step]]\nstatus = 500\n[[step]]\nfault = "cut"\nfault_after = 2')
    with rehearsing(home, "--scenario", str(file), "--json") as process:
        url = read_json(process)["url"]
        assert ask(url)[0].status == 500
        response, body = ask(url)
        assert response.status == 200
        assert body.count(b'"content":"') == 3
        assert b"[DONE]" not in body


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--fault", "fire"), 1, "there is no fault 'fire'"),
        (("--scenario", "none.toml"), 1, "cannot read none.toml"),
        (("--scenario", "none.toml", "--fault", "429"), 2, "leave the rest out"),
        (("--rate", "2"), 2, "--rate"),
    ],
)
def test_what_cannot_be_rehearsed_is_told(
    cli: Callable[..., Ended], arguments: tuple[str, ...], code: int, says: str
) -> None:
    ended = cli("rehearse", *arguments)
    assert ended.code == code
    assert says in ended.err


def test_every_fault_is_explained() -> None:
    section = PAGE.split("\n## rehearse\n")[1].split("\n## ")[0]
    assert [name for name in FAULTS if f"`{name}`" not in section] == []


def test_the_scenario_of_the_page_can_be_played(tmp_path: Path) -> None:
    [text] = re.findall(r"<!-- rehearsed -->\n```toml\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "page.toml"
    file.write_text(text)
    plain, outage, limited = load_scenario(file).step
    assert (plain.times, outage.fault, outage.down_s, limited.rate) == (20, "refuse", 5, 0.05)
