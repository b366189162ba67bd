"""`reshore compare`: the same prompts to several models, and what their answers are worth."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from reshore.config import load
from reshore.evals.compare.report import read_report
from reshore.ledger.database import Database, reading
from reshore.ledger.entry import Ended, Texts
from reshore.ledger.pairs import PairFilter, kept_pairs
from tests.cli.conftest import RESHORE, environment, execute, install, served
from tests.cli.test_run import Terminal
from tests.ledger.samples import outcome, settings
from tests.ledger.test_database import write

BOTH = ("local:tiny", "local:other")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """One server for all tests here; it has the models `tiny` and `other`."""
    home = tmp_path_factory.mktemp("compare") / "home"
    home.mkdir()
    install(home)
    install(home, "other")
    with served(home, "--log-level", "error") as server:
        yield server


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


def questions(path, count=4, **more):
    lines = [
        {"id": n, "prompt": f"Say {n}", "reference": f"{n}", "match": "contains"} | more
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def answers(place, stem="q.compare"):
    lines = (place / f"{stem}.answers.jsonl").read_bytes().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def test_the_running_server_is_asked_and_three_files_are_written(two, here):
    ended = execute(two.home, "compare", *BOTH, "-p", questions(here / "q.jsonl"))
    assert ended.code == 0, ended.err
    assert "answers side by side: q.compare.html" in ended.err
    assert "local:other" in ended.out
    report = read_report(here / "q.compare.json")
    said = [item.answers[1].text for item in report.items]
    assert [text[:5] for text in said] == [f"Say {n}" for n in range(4)]
    assert report.groups[0].contests[0].ties == 4
    assert report.targets == BOTH
    assert report.source == "q.jsonl"
    assert len(answers(here)) == 8
    page = (here / "q.compare.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    for name in ("json", "html", "answers.jsonl"):
        assert (here / f"q.compare.{name}").stat().st_mode & 0o777 == 0o600


def test_nothing_is_asked_twice_and_what_is_new_is(two, here):
    execute(two.home, "compare", *BOTH, "-p", questions(here / "q.jsonl"))
    first = answers(here)
    assert execute(two.home, "compare", *BOTH, "-p", str(here / "q.jsonl")).code == 0
    assert answers(here) == first
    ended = execute(two.home, "compare", *BOTH, "-p", questions(here / "q.jsonl", 5))
    assert ended.code == 0
    assert answers(here)[:8] == first
    assert len(answers(here)) == 10
    assert len(read_report(here / "q.compare.json").items) == 5


def test_where_all_is_answered_no_server_is_needed(two, here, home):
    execute(two.home, "compare", *BOTH, "-p", questions(here / "q.jsonl"))
    ended = execute(home, "compare", *BOTH, "-p", str(here / "q.jsonl"), "--margin", "0.2")
    assert ended.code == 0, ended.err
    assert read_report(here / "q.compare.json").margin == 0.2


def test_without_a_server_it_runs_the_models_itself(home, here):
    install(home)
    install(home, "other")
    ended = execute(home, "compare", *BOTH, "-p", questions(here / "q.jsonl", 2))
    assert ended.code == 0, ended.err
    assert len(read_report(here / "q.compare.json").items) == 2


def test_a_missing_model_starts_no_server(home, here):
    install(home)
    ended = execute(home, "compare", *BOTH, "-p", questions(here / "q.jsonl"))
    assert ended.code == 3
    assert "other" in ended.err


def test_json_is_the_whole_report(two, here):
    ended = execute(two.home, "compare", *BOTH, "--json", stdin="Say one\nSay two\n")
    assert ended.code == 0, ended.err
    printed = json.loads(ended.out)
    assert printed == json.loads((here / "stdin.compare.json").read_bytes())
    assert [item["prompt"] for item in printed["items"]] == ["Say one", "Say two"]


def test_parameters_and_places_are_as_they_are_told(two, here):
    source = questions(here / "q.jsonl", 1)
    options = ("--with", "temperature=0", "--with", "stop=END", "-o", "r", "--html", "page.htm")
    ended = execute(two.home, "compare", *BOTH, "-p", source, *options)
    assert ended.code == 0, ended.err
    report = read_report(here / "r.json")
    assert report.parameters == {"temperature": 0, "stop": "END"}
    assert report.items[0].body["temperature"] == 0
    assert (here / "page.htm").exists()
    assert not (here / "r.html").exists()


def test_a_target_that_never_answers_is_a_failure_with_its_reason(two, here):
    source = questions(here / "q.jsonl", 2)
    ended = execute(two.home, "compare", "local:tiny", "local:nobody", "-p", source)
    assert ended.code == 1
    assert "local:nobody answered nothing: " in ended.err
    assert "2 of 2 failed" in ended.err
    assert read_report(here / "q.compare.json").groups[0].contests[0].losses == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("local:tiny", "-p", "q.jsonl"), "two targets are needed"),
        (("local:tiny", "local", "-p", "q.jsonl"), "names no model"),
        ((*BOTH, "-p", "nowhere.jsonl"), "cannot read nowhere.jsonl"),
        ((*BOTH, "-p", "q.jsonl", "--from-ledger"), "not both"),
        ((*BOTH, "-p", "q.jsonl", "--with", "temperature"), "takes NAME=VALUE"),
        ((*BOTH, "-p", "q.jsonl", "--with", "model=x"), "cannot change 'model'"),
        ((*BOTH, "-p", "q.jsonl", "--with", "temperature=hot"), "temperature"),
        ((*BOTH, "-p", "bad.jsonl"), "bad.jsonl, line 1: "),
    ],
)
def test_what_cannot_be_asked_is_told_in_a_line(arguments, says, cli, here):
    questions(here / "q.jsonl")
    (here / "bad.jsonl").write_text('{"promt": 1}\n')
    ended = cli("compare", *arguments)
    assert ended.code in (1, 2)
    assert says in ended.err
    assert ended.err.count("\n") == 1


def test_what_is_piped_in_and_no_text_is_told_in_a_line(home, here):
    ended = subprocess.run(
        [*RESHORE, "compare", *BOTH], input=b"\xff\xfe", capture_output=True, env=environment(home)
    )
    assert ended.returncode == 1
    assert ended.stderr == b"error: what is piped in is no text in UTF-8: invalid start byte\n"


def slow(path):
    """Answers take a while."""
    lines = ["/echo " + json.dumps({"gap_ms": 40, "text": f"{n} " + "x " * 10}) for n in range(12)]
    path.write_text("\n".join(lines))


def begun(home, *arguments):
    """A comparison that goes on."""
    command = [*RESHORE, "compare", *arguments]
    return subprocess.Popen(
        command, env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def answered(place, count, process):
    """Wait until more answers than that are kept."""
    path = place / "q.compare.answers.jsonl"
    while not (path.exists() and path.read_bytes().count(b"\n") > count):
        with suppress(subprocess.TimeoutExpired):
            pytest.fail(f"it ended with {process.wait(timeout=0.05)}")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_was_answered_before_a_kill_is_kept(number, two, here):
    """Each answer takes a second; the second run asks for those that were not there."""
    slow(here / "q.txt")
    with begun(two.home, *BOTH, "-p", "q.txt", "--parallel", "2") as process:
        answered(here, 4, process)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    before = answers(here)
    assert 4 < len(before) < 24
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert b"the same command goes on from here" in said
    ended = execute(two.home, "compare", *BOTH, "-p", "q.txt", "--parallel", "8")
    assert ended.code == 0, ended.err
    after = answers(here)
    assert after[: len(before)] == before
    assert len({each["key"] for each in after}) == len(after) == 24
    assert read_report(here / "q.compare.json").missing == 0


def test_where_the_server_goes_away_it_ends_and_goes_on_with_the_next_one(home, here):
    install(home)
    install(home, "other")
    slow(here / "q.txt")
    options = (*BOTH, "-p", "q.txt", "--parallel", "2")
    with served(home, "--log-level", "error") as server, begun(home, *options) as process:
        answered(here, 4, process)
        server.process.kill()
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert b"the server went away; start it, and call the same command again" in said
    before = [each for each in answers(here) if "error" not in each]
    assert execute(home, "compare", *options).code == 0
    assert answers(here)[: len(before)] == before
    assert read_report(here / "q.compare.json").groups[0].sides[1].failed == 0


@contextmanager
def stored(home, *prompts):
    """A ledger in which clients asked these."""
    config = settings(home)
    database = Database(config)
    for number, (body, fields) in enumerate(prompts):
        name = f"req_{number}"
        ended = outcome(name, wall_s=1_790_000_000.0 + number, **fields)
        write(database, Ended(ended), Texts(name, json.dumps(body), "x", ended.wall_s))
    database.close()
    yield


def chat(text):
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}


def test_what_clients_asked_is_asked_again(home, here):
    install(home)
    install(home, "other")
    asked = [(chat("Say one"), {}), (chat("Say two"), {}), (chat("x"), {"path": "/api/chat"})]
    with stored(home, *asked):
        ended = execute(home, "compare", *BOTH, "--from-ledger", "--since", "2026-01-01")
    assert ended.code == 0, ended.err
    assert "left out: 1 requests: not of /v1/chat/completions" in ended.err
    report = read_report(here / "ledger.compare.json")
    assert {item.prompt for item in report.items} == {"Say one", "Say two"}
    assert {item.group for item in report.items} == {"gpt-*"}


def test_what_may_not_leave_is_asked_of_models_and_judges_of_this_machine_alone(home, here):
    install(home)
    install(home, "other")
    asked = [(chat("Say one"), {}), (chat("a secret"), {"asked_model": "notes-private"})]
    since = ("--from-ledger", "--since", "2026-01-01")
    with stored(home, *asked):
        with (home / "reshore.toml").open("a") as file:
            file.write('[privacy]\nnames = ["*-private"]\n')
        ended = execute(home, "compare", *BOTH, *since, "-o", "here")
        assert ended.code == 0, ended.err
        assert "private" not in ended.err
        ended = execute(home, "compare", *BOTH, *since, "-o", "away", "--judge", "cloud:gone/x")
    assert "left out: 1 requests: private" in ended.err
    assert len(read_report(here / "here.json").items) == 2
    assert [item.prompt for item in read_report(here / "away.json").items] == ["Say one"]


def test_a_ledger_without_texts_says_how_to_have_them(cli, home, here):
    with stored(home):
        ended = cli("compare", *BOTH, "--from-ledger")
    assert ended.code == 1
    assert "set `ledger.texts = 0.1`" in ended.err


@contextmanager
def judged_by(home, verdict):
    """An upstream `judge` that gives the same verdict whatever it is asked."""
    words = ("rehearse", "--json", "--text", verdict)
    process = subprocess.Popen([*RESHORE, *words], env=environment(home), stdout=subprocess.PIPE)
    with process:
        try:
            url = json.loads(process.stdout.read1())["url"]
            (home / "reshore.toml").write_text(f'[upstreams.judge]\nurl = "{url}"\n')
            yield
        finally:
            process.kill()


def prose(path, count=3):
    """Answers to these come to nothing that could be compared."""
    lines = [{"prompt": f"Tell me of {n}.", "id": n} for n in range(count)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


# The scripted engine says the same to all: what differs is how it is asked.
APART = ("local:tiny", "cloud:judge/other")


def test_a_judge_rules_where_no_check_can(home, here):
    install(home)
    with judged_by(home, '{"reason": "both fine", "better": "tie"}'):
        options = ("-p", prose(here / "q.jsonl"), "--judge", "cloud:judge/o3")
        ended = execute(home, "compare", *APART, *options)
        assert ended.code == 0, ended.err
        contest = read_report(here / "q.compare.json").groups[0].contests[0]
        assert (contest.ties, contest.by) == (3, {"judge o3": 3})
        assert "cloud:judge/other: the judge o3 decided 3 pairs" in ended.out
        kept = (here / "q.compare.answers.jsonl").read_bytes()
        assert execute(home, "compare", *APART, *options).code == 0
        assert (here / "q.compare.answers.jsonl").read_bytes() == kept  # nobody was asked again
    assert "judge cloud:judge/o3" in (here / "q.compare.html").read_text()
    assert read_report(here / "q.compare.json").judge == "cloud:judge/o3"


def test_a_judge_that_is_no_help_leaves_pairs_open_and_says_why(home, here):
    install(home)
    with judged_by(home, "I like the first one."):
        options = ("-p", prose(here / "q.jsonl"), "--judge", "cloud:judge/o3")
        ended = execute(home, "compare", *APART, *options)
    assert ended.code == 0, ended.err
    assert read_report(here / "q.compare.json").groups[0].contests[0].undecided == 3
    assert "undecided 3: the judge gave no verdict" in ended.out


def test_a_judge_does_not_grade_its_own_family_unless_it_may(home, here):
    install(home)
    targets = ("local:tiny", "cloud:judge/gpt-4o")
    with judged_by(home, '{"reason": "both fine", "better": "tie"}'):
        options = ("-p", prose(here / "q.jsonl"), "--judge", "cloud:judge/o3")
        ended = execute(home, "compare", *targets, *options)
        assert "undecided 3: the judge and cloud:judge/gpt-4o are both OpenAI" in ended.out
        execute(home, "compare", *targets, *options, "--own-family")
    assert read_report(here / "q.compare.json").groups[0].contests[0].ties == 3


def test_a_route_does_not_hide_whose_relative_a_judge_is(home, here):
    install(home)
    with judged_by(home, '{"reason": "both fine", "better": "tie"}'):
        with (home / "reshore.toml").open("a") as file:
            file.write('[routes]\nsmart = "cloud:judge/llama-3"\n')
        options = ("-p", prose(here / "q.jsonl"), "--judge", "smart")
        ended = execute(home, "compare", "local:tiny", "cloud:judge/llama-4", *options)
    said = "the judge (cloud:judge/llama-3) and cloud:judge/llama-4 are both Llama"
    assert f"undecided 3: {said}" in ended.out


def test_who_answers_to_an_alias_is_known(home, here):
    """By that a judge is told to be a relative; those of tests have no room for its question."""
    install(home)
    install(home, "llama3.2")
    (home / "reshore.toml").write_text('[aliases]\nsmart = "llama3.2"\n')
    assert execute(home, "compare", "local:tiny", "smart", "-p", prose(here / "q.jsonl")).code == 0
    assert {each["by"] for each in answers(here)} == {"local:tiny", "local:llama3.2"}


def test_a_check_of_ones_own_goes_before_a_judge(home, here):
    install(home)
    (here / "mine.py").write_text(
        "def better(request, first, second, expected):\n"
        "    return 'second' if '1' in request['messages'][-1]['content'] else 'first'\n"
    )
    with judged_by(home, "whatever"):
        options = ("-p", prose(here / "q.jsonl"), "--check", "mine.py:better")
        ended = execute(home, "compare", *APART, *options)
        assert ended.code == 0, ended.err
    again = execute(home, "compare", *APART, *options)  # nobody has to be asked any more
    assert again.code == 0, again.err
    contest = read_report(here / "q.compare.json").groups[0].contests[0]
    assert (contest.wins, contest.losses, contest.by) == (1, 2, {"own check": 3})


def test_labels_of_people_have_the_last_word(home, here):
    install(home)
    options = ("-p", prose(here / "q.jsonl"))
    with judged_by(home, "Something else.\nAnd more of it."):
        assert execute(home, "compare", *APART, *options).code == 0
    ended = execute(home, "compare", "label", "q.compare.json", stdin="ttt")
    assert ended.code == 0, ended.err
    assert execute(home, "compare", *APART, *options).code == 0
    contest = read_report(here / "q.compare.json").groups[0].contests[0]
    assert (contest.ties, contest.by) == (3, {"label": 3})


def test_pairs_of_local_and_cloud_are_kept_in_the_ledger(home, here, monkeypatch):
    install(home)
    questions(here / "q.jsonl", 3)
    command = ("compare", *APART, "-p", "q.jsonl", "--ledger")
    with judged_by(home, "I do not know."):
        with (home / "reshore.toml").open("a") as file:
            file.write("[ledger]\ntexts = 1.0\n")
        ended = execute(home, *command)
        assert ended.code == 0, ended.err
        assert "3 pairs of local and cloud in the ledger" in ended.err
    assert execute(home, *command).code == 0
    with reading(load()) as connection:
        pairs = list(kept_pairs(connection, PairFilter()))
    assert len(pairs) == 3  # the second time they were there already
    assert {pair.paired.verdict for pair in pairs} == {"win"}
    assert {pair.paired.local.model for pair in pairs} == {"tiny"}
    assert {pair.paired.source for pair in pairs} == {"compare"}
    assert {pair.texts.cloud for pair in pairs} == {"I do not know."}


def test_without_a_ledger_nothing_is_said_to_be_kept(home, here):
    install(home)
    with judged_by(home, "I do not know."):
        with (home / "reshore.toml").open("a") as file:
            file.write("[ledger]\nenabled = false\n")
        questions(here / "q.jsonl", 1)
        ended = execute(home, "compare", *APART, "-p", "q.jsonl", "--ledger")
    assert ended.code == 1
    assert "the ledger is switched off" in ended.err


class Rude(BaseHTTPRequestHandler):
    """Refuses with what would clear the screen."""

    def do_POST(self):
        body = json.dumps({"error": {"message": "no \x1b[2Jsuch model"}}).encode()
        self.send_response(404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Nothing of it is worth a line."""


def test_what_an_upstream_says_of_its_failure_does_nothing_to_the_terminal(home, here):
    install(home)
    with ThreadingHTTPServer(("127.0.0.1", 0), Rude) as upstream:
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{upstream.server_port}/v1"
        (home / "reshore.toml").write_text(f'[upstreams.rude]\nurl = "{url}"\n')
        targets = ("local:tiny", "cloud:rude/x")
        ended = execute(home, "compare", *targets, "-p", questions(here / "q.jsonl"))
        upstream.shutdown()
    assert ended.code == 1
    assert "no  [2Jsuch model" in ended.err
    assert "\x1b" not in ended.out + ended.err


def test_on_a_terminal_there_are_bars_and_numbers_without_their_intervals(two, here):
    source = questions(here / "q.jsonl", 2)
    with closing(Terminal(two.home, "compare", *BOTH, "-p", source)) as terminal:
        shown = terminal.expect(b"answers side by side")
        assert terminal.process.wait(timeout=30) == 0
    assert b"2/2" in shown
    assert b"local:other" in shown
    assert b"VERDICT (margin 0.05)" in shown
    assert b" to " not in shown
    assert b"p95" not in shown
