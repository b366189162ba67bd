"""`reshore compare label`: a key a pair, kept at once."""

import json
import os
import subprocess

import msgspec
import pytest

from reshore.cli.labelling import label_all
from reshore.evals.compare.labels import LabelFile, open_pairs
from reshore.evals.compare.summary import summarise
from reshore.evals.scoring import Compared
from tests.cli.conftest import RESHORE, environment, execute, install
from tests.cli.test_run import Terminal
from tests.evals.compare.asked import answer, prompt

OLD, NEW = "cloud:u/old", "local:new"
EVIL = "Nice.\x1b]52;c;ZXZpbA==\x07 \u202eevil [bold]markup[/bold]"


@pytest.fixture
def written(tmp_path):
    """A report with four open pairs, and the pairs in the order in which they are asked."""
    prompts = [prompt(f"Why is {n} so?", id=n) for n in range(4)]
    answers = {}
    for place, each in enumerate(prompts):
        answers[each.id, OLD] = answer(f"Old reason {place}. {EVIL}", target=OLD)
        answers[each.id, NEW] = answer(f"New reason {place}.", target=NEW)
    ruled = {("0", NEW): Compared(result="win", by="judge gpt-4o")}
    report = summarise(prompts, answers, (OLD, NEW), margin=0.05, rulings=ruled)
    path = tmp_path / "few.compare.json"
    path.write_bytes(msgspec.json.encode(report))
    return path, open_pairs(report)


def words(path):
    kept = LabelFile(path.with_name("few.compare.labels.jsonl")).known
    return {label.prompt: label.better for label in kept.values()}


class Screen:
    """Remembers what it was to show."""

    def __init__(self):
        self.seen, self.hints = [], 0

    def show(self, pair, labelled, total):
        self.seen.append((pair.item.id, labelled, total))

    def hint(self):
        self.hints += 1


def label(pairs, path, typed):
    screen, keys = Screen(), iter(typed)
    kept = LabelFile(path)
    label_all(pairs, kept, read_key=lambda: next(keys, ""), screen=screen, wall_s=lambda: 5.0)
    return screen, {each.prompt: each.better for each in kept.known.values()}


def test_each_key_is_a_label_of_the_pair_on_the_screen(written, tmp_path):
    _, pairs = written
    screen, found = label(pairs, tmp_path / "l.jsonl", "12ts")
    assert screen.seen == [(pair.item.id, place, 4) for place, pair in enumerate(pairs)]
    first = "second" if pairs[0].swapped else "first"
    second = "first" if pairs[1].swapped else "second"
    ids = [pair.item.id for pair in pairs]
    assert found == {ids[0]: first, ids[1]: second, ids[2]: "tie", ids[3]: "skip"}


def test_other_keys_are_answered_with_the_keys_there_are(written, tmp_path):
    screen, found = label(written[1], tmp_path / "l.jsonl", "xu?T")
    assert screen.hints == 3
    assert list(found.values()) == ["tie"]


def test_the_last_label_can_be_taken_back(written, tmp_path):
    _, pairs = written
    screen, found = label(pairs, tmp_path / "l.jsonl", "ttuus")
    assert found == {pairs[0].item.id: "skip"}
    assert [seen[0] for seen in screen.seen] == [pairs[n].item.id for n in (0, 1, 2, 1, 0, 1)]


def test_what_was_labelled_is_not_asked_again(written, tmp_path):
    _, pairs = written
    label(pairs, tmp_path / "l.jsonl", "tq")
    screen, found = label(pairs, tmp_path / "l.jsonl", "sssss")
    assert [seen[1] for seen in screen.seen] == [1, 2, 3]
    assert len(found) == 4
    assert label(pairs, tmp_path / "l.jsonl", "1")[0].seen == []


def test_keys_may_be_piped_in(written, tmp_path):
    path, _ = written
    ended = execute(tmp_path, "compare", "label", str(path), stdin="t\n1\nq\n")
    assert ended.code == 0
    assert len(words(path)) == 2
    assert f"{NEW}: 2 of 4 open pairs are labelled" in ended.out
    assert "too few for a net win" in ended.out


def test_nobody_is_named_and_no_answer_speaks_to_the_terminal(written, tmp_path):
    path, _ = written
    shown = execute(tmp_path, "compare", "label", str(path), stdin="").err
    assert "Why is" in shown
    assert "Nice.\\x1b]52;c;ZXZpbA==\\x07 \\u202eevil [bold]markup[/bold]" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert OLD not in shown
    assert NEW not in shown


def test_json_is_all_that_goes_to_standard_output(written, tmp_path):
    path, _ = written
    labels = tmp_path / "mine.jsonl"
    ended = execute(
        tmp_path, "compare", "label", str(path), "--json", "--labels", str(labels), stdin="tt"
    )
    [found] = json.loads(ended.out)
    assert (found["target"], found["labels"], found["pairs"]) == (NEW, 2, 4)
    assert found["net_win"] is None
    assert len(labels.read_text().splitlines()) == 2


def test_a_file_that_is_no_report_is_told(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    ended = execute(tmp_path, "compare", "label", str(tmp_path / "x.json"), stdin="")
    assert ended.code == 1
    assert "is no report" in ended.err
    assert execute(tmp_path, "compare", "label", "/nowhere.json", stdin="").code == 1


def test_a_person_at_a_terminal_labels_without_the_enter_key(written, tmp_path):
    path, _ = written
    terminal = Terminal(tmp_path, "compare", "label", str(path))
    try:
        terminal.expect(b"1 of 4")
        terminal.expect(b"q quit")
        # An arrow, and Home, whose characters hold a 1.
        terminal.type(b"\x1b[D")
        terminal.type(b"\x1b[1~")
        terminal.type(b"t")
        terminal.expect(b"2 of 4")
        terminal.type(b"1")
        terminal.expect(b"3 of 4")
        terminal.type(b"u")
        terminal.expect(b"2 of 4")
        terminal.type(b"\x04")
        terminal.expect(b"1 of 4 open pairs")
        assert terminal.process.wait(30) == 0
        assert list(words(path).values()) == ["tie"]
    finally:
        terminal.close()


def test_ctrl_c_keeps_what_was_labelled(written, tmp_path):
    path, _ = written
    terminal = Terminal(tmp_path, "compare", "label", str(path))
    try:
        terminal.expect(b"q quit")
        terminal.type(b"t")
        terminal.expect(b"2 of 4")
        terminal.expect(b"q quit")
        terminal.type(b"\x03")
        assert terminal.process.wait(30) == 130
        assert len(words(path)) == 1
    finally:
        terminal.close()


def test_a_kill_takes_no_label_away(written, tmp_path):
    path, _ = written
    inside, outside = os.pipe()
    process = subprocess.Popen(
        [*RESHORE, "compare", "label", str(path)],
        env=environment(tmp_path),
        stdin=inside,
        stderr=subprocess.PIPE,
    )
    os.close(inside)
    os.write(outside, b"ts")
    seen = b""
    while b"3 of 4" not in seen:
        seen += os.read(process.stderr.fileno(), 4096)
    process.kill()
    process.wait()
    process.stderr.close()
    os.close(outside)
    assert sorted(words(path).values()) == ["skip", "tie"]


def test_answers_that_are_least_alike_may_come_first(written, home):
    install(home)
    path, _ = written
    ended = execute(home, "compare", "label", str(path), "--sort-by", "tiny", "--json", stdin="ttq")
    assert ended.code == 0
    [found] = json.loads(ended.out)
    assert (found["labels"], found["picked"], found["pairs"]) == (0, 2, 4)
    kept = LabelFile(path.with_name("few.compare.labels.jsonl")).known
    assert all(label.picked for label in kept.values())


def test_a_model_that_is_not_there_is_told(written, home):
    path, _ = written
    ended = execute(home, "compare", "label", str(path), "--sort-by", "nowhere", stdin="")
    assert ended.code == 3
    assert "nowhere" in ended.err
