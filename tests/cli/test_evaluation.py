"""`reshore evaluation`, and its page."""

from __future__ import annotations

import json
import random
import time
import urllib.request
from pathlib import Path

import pytest

from reshore.evals.live.evidence import Evidence, watching
from reshore.evals.live.keeping import Keeping, encode
from reshore.stats.planning import hours_text
from reshore.types import Attempt, Side, Target
from tests.cli import test_routing_page as pages
from tests.cli.conftest import execute
from tests.evals.live.made import paired

PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"
HERE = Target(side="local", backend="local", model="llama3.2:latest")
THERE = Target(side="cloud", backend="openai", model="gpt-4o-mini")
NINE_DAYS_S = 9 * 86_400 + 60


def keep(home: Path, evidence: Evidence) -> None:
    keeping = Keeping(home / "evaluation")
    name = keeping.name(evidence.route, evidence.local, evidence.cloud)
    keeping.save({name: encode(evidence)})


def evidence(route: str = "gpt-4o-mini") -> Evidence:
    """What nine days of copies came to."""
    now_s, draw = time.time(), random.Random(7)
    known = Evidence(
        route=route, local=HERE, cloud=THERE, since_s=now_s - NINE_DAYS_S, changed_s=now_s
    )
    known.drift = watching(-0.05, 10_000)
    for number in range(900):
        verdict = "loss" if number % 30 == 5 else "win" if number % 90 == 50 else "tie"
        by = "agreement" if verdict == "tie" else "finish"
        known.pair(paired(verdict=verdict, by=by, conversation=str(number)))
        if number >= 600:
            known.drift.pair(verdict, now_s)
    known.undecided, known.repeated = 412, 57
    for number in range(1369):
        tried(known, "local", number % 150 == 1, draw.lognormvariate(4.9, 0.7))
        tried(known, "cloud", number % 1000 == 1, draw.lognormvariate(6.0, 0.7))
    return known


def tried(known: Evidence, side: Side, fails: bool, ttft_ms: float) -> None:
    attempt = Attempt(
        role="shadow",
        target=HERE if side == "local" else THERE,
        error="BackendTimeout" if fails else None,
        ttft_ms=ttft_ms,
        total_ms=ttft_ms * 6,
    )
    known.sides[side].tried(attempt)


def test_what_the_page_shows_is_what_happens(home, capsys):
    keep(home, evidence())
    pages.test_what_the_page_shows_is_what_happens(PAGE, home, capsys)


def test_before_there_are_pairs_it_says_how_to_get_some(cli, home):
    ended = cli("evaluation")
    assert (ended.code, ended.out) == (0, "")
    assert "no pair was compared yet; a route with `shadow(…)` makes some" in ended.err


def test_a_route_of_which_nothing_is_known_is_told(cli, home):
    keep(home, evidence())
    ended = cli("evaluation", "gpt-5")
    assert ended.code == 3
    assert "no pair of the route 'gpt-5' was compared yet" in ended.err


def test_drift_is_plain_to_see(cli, home):
    known = evidence()
    assert known.drift is not None
    known.drift.alarmed_s = time.time() - 7250
    keep(home, known)
    assert "drifted" in cli("evaluation").out
    shown = cli("evaluation", "gpt-4o-mini").out
    assert "DRIFT, found 2 hours ago: the net win has fallen below -0.05" in shown
    assert "`reshore evaluation gpt-4o-mini --reset`" in shown


def test_what_is_to_go_is_told_in_pairs_and_in_time(cli, home):
    now_s = time.time()
    known = Evidence(route="r", local=HERE, cloud=THERE, since_s=now_s - 36_000, changed_s=now_s)
    for number in range(100):
        verdict = {0: "win", 1: "loss"}.get(number % 20, "tie")
        known.pair(paired(verdict=verdict, conversation=str(number)))
    keep(home, known)
    [standing] = json.loads(cli("evaluation", "r", "--json").out)["standings"]
    pairs, hours = standing["to_go"], standing["hours_to_go"]
    assert hours == pytest.approx(pairs / 10)
    said = f"which {pairs} more pairs like these would show to keep -0.05, some {hours_text(hours)}"
    assert f"{said} at the traffic so far" in cli("evaluation", "r").out


def test_json_has_all_of_it(cli, home):
    keep(home, evidence())
    keep(home, evidence("other"))
    found = json.loads(cli("evaluation", "gpt-4o-mini", "--json").out)
    [standing] = found["standings"]
    assert (standing["route"], standing["pairs"], standing["losses"]) == ("gpt-4o-mini", 900, 30)
    assert standing["sides"]["cloud"]["ttft"]["p95_ms"]["value"] > 0


def test_names_cannot_write_to_the_terminal(cli, home):
    known = evidence("\x1b]0;owned\x07")
    keep(home, known)
    assert "\x1b" not in cli("evaluation").out
    assert "\x1b" not in cli("evaluation", "\x1b]0;owned\x07").out


def test_looking_leaves_damaged_files_to_the_server(cli, home):
    folder = home / "evaluation"
    folder.mkdir()
    (folder / "torn.json").write_bytes(b"{")
    assert cli("evaluation").code == 0
    assert (folder / "torn.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [(("--reset",), 2, "takes the name of a route"), (("x", "--reset"), 1, "no server runs")],
)
def test_beginning_anew_takes_a_route_and_a_server(cli, home, arguments, code, line):
    ended = cli("evaluation", *arguments)
    assert ended.code == code
    assert line in ended.err


def test_the_running_server_is_asked(server):
    assert json.loads(execute(server.home, "evaluation", "--json").out) == {
        "enabled": True,
        "standings": [],
        "dropped": {},
        "unanswered": {},
        "judged": {},
    }
    ended = execute(server.home, "evaluation", "x", "--reset")
    assert ended.code == 3
    assert "no pair of the route 'x'" in ended.err


@pytest.mark.slow
def test_kill_9_loses_nothing_that_was_written_down(home, serve):
    """The mirror cannot be reached: its failures are what is known."""
    (home / "reshore.toml").write_text(
        '[routes]\n"tiny-*" = "shadow(local:tiny, cloud, share=100%)"\n'
        '[upstreams.nowhere]\nurl = "http://127.0.0.1:9/v1"\nkind = "vllm"\n'
        "[routing]\nretries = 0\n"
    )
    server = serve("--log-level", "debug")
    body = {"model": "tiny-1", "messages": [{"role": "user", "content": "hello"}]}
    url, headers = f"{server.url}/v1/chat/completions", {"content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 200
    server.read_until("what evaluation knows is on the disk")
    server.process.kill()
    server.process.wait()
    [standing] = json.loads(execute(home, "evaluation", "--json").out)["standings"]
    assert (standing["route"], standing["undecided"]) == ("tiny-*", 1)
    serve("--log-level", "error")
    [again] = json.loads(execute(home, "evaluation", "--json").out)["standings"]
    assert again["sides"]["cloud"]["failed"] == 1
