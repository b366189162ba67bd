"""`reshore route train` and `evaluate`, on a ledger, on reports and through a server."""

from __future__ import annotations

import json
import random
import re
import shlex
import time

import msgspec
import pytest

from reshore.cli.failure import Failure
from reshore.cli.learning_routes import put_live
from reshore.cli.main import run
from reshore.cli.operated import operations
from reshore.ledger.batch import Batch
from reshore.ledger.database import Database
from reshore.ledger.entry import Pairing, PairTexts
from reshore.ledger.prices import Prices
from reshore.routing.learned import Origin
from reshore.routing.operating import SetRoute
from reshore.routing.parsing import parse_policy
from reshore.routing.policy import Route
from reshore.routing.trained import TrainedRouters
from tests.cli.conftest import execute, install
from tests.cli.test_docs import PAGE
from tests.cli.test_routing_page import _BLOCK, DOCS, _fits, _lines
from tests.evals.gathered import paired
from tests.evals.test_learn import pairs as drawn_pairs
from tests.evals.test_reports import CLOUD, LOCAL, item, report
from tests.ledger.samples import settings
from tests.routing.test_trained import calibrated, model

SINCE = ("--since", "1970-01-01")
FILE = '[upstreams.openai]\nurl = "http://127.0.0.1:9/v1"\n'
# `prove` is what the cloud is better at, and `model()` of the tests of routers knows it.
ASKED = {"prove": "loss", "name": "tie"}


@pytest.fixture
def config(home):
    return settings(home, FILE)


@pytest.fixture
def trained(home):
    return TrainedRouters(home / "routes" / "models")


def fill(config, pairings):
    database = Database(config)
    batch = Batch()
    for each in pairings:
        batch.add(each, Prices({}, {}))
    database.write(batch)
    database.close()


def knowing(**changes):
    """A router that knows what the cloud is better at, and finds nothing strange."""
    return model(likeness=0.0, **changes)


def kept(count=200, *, texts=True, prefix="req", **changes):
    """Pairs of which the cloud wins those that ask for a proof."""
    for at in range(count):
        asked, verdict = list(ASKED.items())[at % 2]
        said = PairTexts(prompt=f"{asked} {at}", local="4 + 4 = 8", cloud="8") if texts else None
        fields = {"verdict": verdict, "conversation": f"c{at}", **changes}
        yield Pairing(paired(f"{prefix}_{at}", **fields), None, said)


def written(folder, items):
    file = folder / "report.json"
    file.write_bytes(msgspec.json.encode(report(*items)))
    return file


def worths(printed):
    return {each["router"]: each for each in printed["evaluation"]["routers"]}


# Evaluating


def test_a_router_is_evaluated_beside_both_sides_and_the_rules(config, trained, cli):
    fill(config, kept())
    trained.save("mine", knowing())
    found = json.loads(cli("route", "evaluate", "mine", *SINCE, "--json").out)
    assert (found["router"], found["local"], found["cloud"]) == ("mine", "llama3.2", "gpt-4o")
    assert found["evaluation"]["pairs"] == 200
    routers = worths(found)
    assert list(routers) == ["always local", "always cloud", "the rules", "mine"]
    # It sends the proofs to the cloud, which is all that there is to gain.
    assert routers["mine"]["quality"]["value"] == 1.0
    assert routers["mine"]["cloud"]["value"] == 0.5
    assert routers["always local"]["quality"]["value"] == 0.5
    assert routers["always cloud"]["cloud"]["interval"] == {"low": 1.0, "high": 1.0}


def test_the_table_says_the_same_and_what_is_not_known(config, trained, cli):
    fill(config, [*kept(), *kept(1, texts=False, prefix="late")])
    trained.save_next("mine", knowing())
    ended = cli("route", "evaluate", "mine", *SINCE)
    assert ended.code == 0
    title, *rows = ended.out.splitlines()
    assert re.split(" {2,}", title) == ["ROUTER", "QUALITY", "OF THE CLOUD'S", "TO THE CLOUD"]
    assert rows[-1].startswith("mine-1        1.000 [1.000, 1.000]")
    assert "nobody knows what mine-1 was trained on" in ended.err
    assert "on 200 pairs of 200 conversations, worth 200 of equal weight" in ended.err


def test_what_a_router_was_trained_on_does_not_count(config, trained, cli):
    fill(config, kept(arrived_s=1000.0))
    origin = Origin(local="llama3.2", cloud="gpt-4o", until_s=1000.0)
    trained.save("mine", msgspec.structs.replace(knowing(), origin=origin))
    ended = cli("route", "evaluate", "mine", *SINCE, "--json")
    held_out = json.loads(ended.out)["evaluation"]["pairs"]
    assert 20 <= held_out <= 60
    assert f"{200 - held_out} that a router was trained on" in ended.err


def test_a_route_is_evaluated_as_it_is_now(config, trained, cli):
    fill(config, kept())
    trained.save("mine", knowing())
    trained.save("never", knowing(calibration=calibrated(2.0).calibration))
    cli("route", "set", "gpt-4o", "hybrid(by=never)", "--local", "llama3.2")
    words = ("route", "evaluate", "mine", "--route", "gpt-4o", *SINCE)
    found = json.loads(cli(*words, "--json").out)["evaluation"]
    assert found["routers"][-1]["router"] == "the route now"
    assert found["difference"]["quality"]["value"] == 0.5
    assert "against the route now: quality +0.500" in cli(*words).out
    cli("route", "set", "gpt-4o", "split(local=1, cloud=1)")
    ended = cli(*words, "--json")
    assert json.loads(ended.out)["evaluation"]["difference"] is None
    assert "cannot be told from pairs alone" in ended.err


def test_pairs_of_other_models_are_not_mixed(config, trained, cli):
    other = msgspec.structs.replace(paired().local, model="phi4")
    fill(config, [*kept(100), *kept(100, local=other, arrived_s=2000.0)])
    trained.save("mine", knowing())
    newest = cli("route", "evaluate", "mine", *SINCE, "--json")
    assert json.loads(newest.out)["local"] == "phi4"
    assert "left out: 100 of other models" in newest.err
    named = cli("route", "evaluate", "mine", *SINCE, "--local", "llama3.2", "--json")
    assert json.loads(named.out)["local"] == "llama3.2"
    assert json.loads(named.out)["left_out"] == {"of other models": 100}


def test_reports_are_evaluated_without_a_ledger(home, trained, cli, tmp_path):
    trained.save("mine", knowing())
    items = [
        item(
            CLOUD,
            LOCAL,
            results=("loss" if at % 2 else "tie",),
            body={
                "messages": [{"role": "user", "content": f"{'prove' if at % 2 else 'name'} {at}"}]
            },
        )
        for at in range(60)
    ]
    for at, each in enumerate(items):
        answers = tuple(msgspec.structs.replace(a, key=f"{a.key} {at}") for a in each.answers)
        items[at] = msgspec.structs.replace(each, answers=answers)
    file = written(tmp_path, items)
    found = json.loads(cli("route", "evaluate", "mine", "--compare", str(file), "--json").out)
    assert found["evaluation"]["pairs"] == 60
    assert worths(found)["mine"]["quality"]["value"] == 1.0


# What cannot be done


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_without_texts_it_says_how_they_are_kept(config, trained, cli, command):
    fill(config, kept(texts=False))
    trained.save("mine", knowing())
    ended = cli("route", command, "mine", *SINCE)
    assert (ended.code, ended.out) == (1, "")
    assert "none of 200 pairs can be used; 200 have no text" in ended.err
    assert "`[ledger] texts`" in ended.err


def test_where_nothing_could_be_decided_it_says_what_decides_more(config, trained, cli):
    fill(config, [*kept(30, verdict="undecided"), *kept(10, texts=False, prefix="silent")])
    trained.save("mine", knowing())
    ended = cli("route", "evaluate", "mine", *SINCE)
    assert ended.code == 1
    assert "none of 40 pairs can be used; 30 could not be decided by any check" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("evaluate", "nobody"), 1, "no trained router 'nobody'"),
        (("evaluate", "mine"), 1, "there are no pairs: a `shadow`"),
        (("evaluate", "mine", "--since", "soon"), 2, "'soon' is no time"),
        (("evaluate", "mine", "--route", "gpt-9"), 3, "no route 'gpt-9'"),
        (("evaluate", "mine", "--compare", "nowhere.json"), 1, "cannot read nowhere.json"),
        (("train", "mine"), 1, "there are no pairs"),
        (("train", "../mine"), 1, "no name for a router"),
        (("train", "mine", "--goal", "quality<=1"), 1, "write quality>=98%"),
        (("train", "mine", "--live"), 2, "--route PATTERN"),
        (("train", "mine", "--reads", "minds"), 2, "minds"),
    ],
)
def test_what_cannot_be_done_is_one_line(config, trained, cli, arguments, code, says):
    fill(config, ())
    trained.save("mine", knowing())
    ended = cli("route", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert says in ended.err


def test_a_route_that_can_ask_no_router_is_told_before_the_training(config, cli):
    cli("route", "set", "gpt-4o", "split(local=1, cloud=1)")
    ended = cli("route", "train", "mine", "--route", "gpt-4o", "--live")
    assert ended.code == 1
    assert "where no hybrid asks a router" in ended.err


def test_few_pairs_are_refused(config, cli):
    fill(config, kept(60))
    ended = cli("route", "train", "mine", *SINCE)
    assert ended.code == 1
    assert re.search(r"\d\d pairs are too few to learn from \(\d+ more are held out", ended.err)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format": "reshore-compare-9"}', b"\xff\x00["])
def test_a_file_that_is_no_report_is_told(home, trained, cli, tmp_path, content):
    trained.save("mine", knowing())
    file = tmp_path / "report.json"
    file.write_bytes(content)
    ended = cli("route", "evaluate", "mine", "--compare", str(file))
    assert ended.code == 1
    assert "report.json is no report" in ended.err


@pytest.mark.parametrize("content", [b"", b'{"version": 1', b'{"pairs": "many"}', b"\x00" * 100])
def test_a_torn_router_is_told(config, trained, cli, content):
    fill(config, kept())
    path = trained.save("mine", knowing())
    path.write_bytes(content)
    ended = cli("route", "evaluate", "mine", *SINCE)
    assert ended.code == 1
    assert "mine.json is damaged" in ended.err


def test_the_keys_of_the_json_are_on_the_page(config, trained, cli):
    fill(config, kept())
    trained.save("mine", knowing())
    found = json.loads(cli("route", "evaluate", "mine", *SINCE, "--json").out)
    said = PAGE.split("\n## route\n")[1].split("\n## ")[0].split("`--json`:")[1]
    for key in (*found, *found["evaluation"], *found["evaluation"]["routers"][0]):
        assert f"`{key}`" in said


# Training, with scikit-learn: some seconds each


def drawn(count=600, *, chance=False, now_s=1000.0):
    """Pairs of which the cloud gains on what is hard, or on anything, by chance."""
    source = random.Random(4)
    for at, pair in enumerate(drawn_pairs(count)):
        weak, strong = pair.weak, pair.strong
        if chance:
            weak, strong = float(source.random() < 0.8), float(source.random() < 0.8)
        about = paired(
            f"drawn_{at}",
            conversation=pair.key,
            local_quality=weak,
            cloud_quality=strong,
            propensity=0.1,
            arrived_s=now_s,
        )
        said = PairTexts(prompt=pair.prompt, local=pair.answer, cloud="8")
        yield Pairing(about, None, said)


@pytest.mark.slow
def test_each_training_is_a_version_beside_the_others(config, trained, cli):
    fill(config, drawn())
    words = ("route", "train", "mine", *SINCE, "--goal", "cloud<=60%")
    first = json.loads(cli(*words, "--json").out)
    path = config.home / "routes" / "models" / "mine-1.json"
    content = path.read_bytes()
    ended = cli(*words)
    assert ended.code == 0, ended.err
    assert re.match(r"mine-2: trained on \d+ pairs, threshold 0\.\d\d for cloud<=60%", ended.out)
    assert trained.names() == ["mine-1", "mine-2"]
    assert path.read_bytes() == content
    assert first["router"] == "mine-1"
    assert first["pairs"] + first["evaluation"]["pairs"] == 600
    routers = worths(first)
    low = routers["always local"]["quality"]["value"]
    assert routers["mine-1"]["quality"]["value"] > low
    assert 0 < routers["mine-1"]["cloud"]["value"] < 0.7
    model = trained.load("mine-1").model
    assert model.origin == Origin(local="llama3.2", cloud="gpt-4o", until_s=1000.0)
    # What it was not trained on is what was held out, and the evaluation later is the same one.
    again = json.loads(cli("route", "evaluate", "mine-1", *SINCE, "--json").out)
    assert worths(again) == routers
    assert first["change"] is None


@pytest.mark.slow
def test_one_that_reads_answers_knows_more(config, cli):
    fill(config, drawn())
    words = ("route", "train", "both", *SINCE, "--json", "--goal", "cloud<=50%")
    prompt = json.loads(cli(*words).out)
    answer = json.loads(cli(*words, "--reads", "answer").out)
    assert answer["router"] == "both-2"
    kept = worths(answer)["both-2"]["quality"], worths(prompt)["both-1"]["quality"]
    assert kept[0]["value"] > kept[1]["value"]


@pytest.mark.slow
def test_a_router_is_put_live_by_the_server_as_a_version_of_the_routes(serve, config, home):
    fill(config, drawn())
    serve("--log-level", "error")
    shadow = "shadow(cloud, local:tiny, share=10%)"
    assert execute(home, "route", "set", "gpt-4o", shadow).code == 0
    words = ("--route", "gpt-4o", *SINCE, "--goal", "cloud<=60%", "--why", "a month of shadow")
    ended = execute(home, "route", "train", "mine", *words, "--live")
    assert ended.code == 0, ended.err
    sides = "shadow(local:tiny, cloud, share=10%), shadow(cloud, local:tiny, share=10%)"
    assert f"-> hybrid({sides}, by=mine-1)" in ended.out
    assert "`reshore rollback 1` takes it back" in ended.err
    [version, _] = json.loads(execute(home, "route", "history", "--json").out)
    assert version["reason"].startswith("a month of shadow: router mine-1, quality ")
    assert version["author"]
    assert version["evidence"]["router"] == "mine-1"
    assert version["evidence"]["evaluation"]["pairs"] > 20
    asked = ("route", "explain", "gpt-4o", "Prove the theorem about Chile 3?")
    explained = execute(home, *asked).out
    assert "router mine-1" in explained
    assert "(cloud<=60%)" in explained
    assert execute(home, "rollback").out.endswith(f"-> {shadow}\n")


@pytest.mark.slow
def test_one_that_is_certainly_worse_is_not_put_live_unless_forced(config, cli):
    """Where the cloud gains by chance alone, half of the requests go there for nothing."""
    fill(config, drawn(chance=True))
    cli("route", "set", "gpt-4o", "local:llama3.2")
    words = ("route", "train", "mine", "--route", "gpt-4o", *SINCE, "--live", "--json")
    refused = cli(*words)
    assert refused.code == 1
    assert json.loads(refused.out)["router"] == "mine-1"
    assert json.loads(refused.out)["change"] is None
    assert "mine-1 is not live: against the route now, more requests go to the cloud" in refused.err
    assert json.loads(cli("route", "show", "gpt-4o", "--json").out)["policy"] == "local:llama3.2"
    forced = json.loads(cli(*words, "--force").out)
    assert forced["change"]["version"] == 2
    policy = json.loads(cli("route", "show", "gpt-4o", "--json").out)["policy"]
    assert policy == "hybrid(local:llama3.2, cloud, by=mine-2)"


@pytest.mark.slow
def test_what_the_page_shows_is_what_happens(home, capsys):
    """But for the numbers: those of a training differ a little between machines."""
    page = (DOCS / "learned-router.md").read_text(encoding="utf-8")
    install(home, "llama3.2")
    commands = 0
    for is_file, _, text in _BLOCK.findall(page):
        if is_file:
            fill(settings(home, text), drawn(1200, now_s=time.time()))
            continue
        for piece in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, *expected = piece.splitlines()
            commands += 1
            run(shlex.split(command)[1:])
            printed = capsys.readouterr()
            lines = _lines(_without_numbers(printed.out + printed.err))
            assert _fits(lines, _lines(_without_numbers("\n".join(expected)))), (
                f"$ {command}\n{printed.out}{printed.err}"
            )
    assert commands >= 4


def _without_numbers(text):
    return re.sub(r"[+-]?\d[\d,.]*", "#", text)


def test_a_route_that_was_changed_meanwhile_is_left_alone(config):
    before = Route(pattern="gpt-4o", policy=parse_policy("cloud"))
    with operations() as routes:
        routes.set("gpt-4o", SetRoute(policy="local"))
    with pytest.raises(Failure, match=r"changed meanwhile.*route set gpt-4o 'hybrid\(by=mine-1\)'"):
        put_live(before, SetRoute(policy="hybrid(by=mine-1)"))
    with operations() as routes:
        assert routes.show().version.routes["gpt-4o"].policy == "local"
