"""What people say of pairs: kept at once, and held against what a judge said."""

from __future__ import annotations

import random
import stat
from pathlib import Path

import msgspec
import pytest

from reshore.errors import CompareError
from reshore.evals.compare.labels import (
    LABEL,
    Label,
    LabelFile,
    Open,
    agreements,
    label_of,
    open_pairs,
    rulings,
)
from reshore.evals.compare.report import Report
from reshore.evals.compare.summary import summarise
from reshore.evals.scoring import Compared, Result
from tests.evals.compare.asked import answer, prompt

OLD, NEW = "cloud:u/old", "local:new"
JUDGE = "judge gpt-4o"


def report(results: list[Result], **more: Compared) -> Report:
    """Of pairs that no check decides; the judge says `results`."""
    prompts = [prompt(f"Why is {n} so?", id=n) for n in range(len(results))]
    answers = {}
    for place, each in enumerate(prompts):
        answers[each.id, OLD] = answer(f"Because of {place}, it is said.", target=OLD)
        answers[each.id, NEW] = answer(f"For many reasons, such as {place}.", target=NEW)
    ruled = {
        (str(place), NEW): Compared(result=result, by=JUDGE if result != "undecided" else "")
        for place, result in enumerate(results)
    }
    ruled |= {(name, NEW): compared for name, compared in more.items()}
    return summarise(prompts, answers, (OLD, NEW), margin=0.05, rulings=ruled)


def test_pairs_that_checks_decided_are_not_asked_about() -> None:
    made = report(["win"] * 4, **{"1": Compared(result="loss", by="refusal")})
    found = open_pairs(made)
    assert sorted(pair.item.id for pair in found) == ["0", "2", "3"]
    assert [pair.key for pair in found] == sorted(pair.key for pair in found)


def test_the_order_and_the_sides_are_chance_and_the_same_every_time() -> None:
    made = report(["win"] * 200)
    found = open_pairs(made)
    assert found == open_pairs(msgspec.json.decode(msgspec.json.encode(made), type=Report))
    assert [pair.item.id for pair in found] != sorted(pair.item.id for pair in found)
    assert 70 < sum(pair.swapped for pair in found) < 130
    for pair in found:
        assert pair.texts[pair.swapped].startswith("Because")


@pytest.mark.parametrize("swapped", [False, True])
def test_a_label_is_of_the_answers_as_the_report_has_them(swapped: bool) -> None:
    pair = next(each for each in open_pairs(report(["win"] * 50)) if each.swapped is swapped)
    shown_first = label_of(pair, "first", 7.0)
    assert shown_first.better == ("second" if swapped else "first")
    assert (shown_first.judged, shown_first.judge) == ("win", JUDGE)
    assert label_of(pair, "tie", 7.0).better == "tie"


def test_labels_are_kept_at_once_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    labels = LabelFile(path)
    labels.add(Label(pair="a", prompt="1", target=NEW, better="first"))
    labels.add(Label(pair="b", prompt="2", target=NEW, better="tie"))
    labels.add(Label(pair="a", prompt="1", target=NEW, better="second"))
    labels.add(Label(pair="b", prompt="2", target=NEW, better="none"))
    again = LabelFile(path)
    assert {pair: label.better for pair, label in again.known.items()} == {"a": "second"}
    assert again.known == labels.known
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes().splitlines()) == 4


def test_a_line_that_was_cut_short_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    LabelFile(path).add(Label(pair="a", prompt="1", target=NEW, better="first"))
    with path.open("ab") as file:
        file.write(b'{"pair":"b","pro')
    LabelFile(path).add(Label(pair="c", prompt="3", target=NEW, better="tie"))
    assert sorted(LabelFile(path).known) == ["a", "c"]


def test_another_file_is_no_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text("question,answer\n1,2\n")
    with pytest.raises(CompareError, match="holds no labels"):
        LabelFile(path)
    with pytest.raises(CompareError, match=r"cannot read .*: Is a directory"):
        LabelFile(tmp_path)


def test_a_first_line_that_a_kill_cut_short_makes_the_others_no_strangers(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_bytes(b'{"pair": "a", "pro')
    LabelFile(path).add(Label(pair="b", prompt="1", target=NEW, better="tie"))
    assert list(LabelFile(path).known) == ["b"]


def test_people_settle_pairs() -> None:
    made = report(["win", "undecided", "loss", "tie"])
    pairs = {pair.item.id: pair for pair in open_pairs(made)}
    labels = {
        pairs["0"].key: Label(pair=pairs["0"].key, prompt="0", target=NEW, better="first"),
        pairs["1"].key: Label(pair=pairs["1"].key, prompt="1", target=NEW, better="second"),
        pairs["2"].key: Label(pair=pairs["2"].key, prompt="2", target=NEW, better="skip"),
    }
    assert rulings(made, labels) == {
        ("0", NEW): Compared(result="loss", by=LABEL),
        ("1", NEW): Compared(result="win", by=LABEL),
    }


def labelled(pairs: tuple[Open, ...], truth: dict[str, str], count: int) -> dict[str, Label]:
    words = {"win": "second", "loss": "first", "tie": "tie"}
    return {
        pair.key: msgspec.structs.replace(
            label_of(pair, "tie", 0.0),
            better=words[truth[pair.item.id]],
        )
        for pair in pairs[:count]
    }


def test_a_judge_is_corrected_by_what_people_say() -> None:
    """A judge that likes the new model: of 400 pairs it says "win" of half of the losses."""
    chance = random.Random(3)
    truth: dict[str, str] = {}
    judged: list[Result] = []
    for place in range(400):
        right: Result = chance.choices(("win", "tie", "loss"), (3, 3, 4))[0]  # type: ignore[assignment]
        truth[str(place)] = right
        judged.append("win" if right == "loss" and chance.random() < 0.5 else right)
    pairs = open_pairs(report(judged))
    [found] = agreements(pairs, labelled(pairs, truth, 120))
    assert (found.target, found.pairs, found.labels, found.missing) == (NEW, 400, 120, 0)
    assert found.decided == 120
    assert found.same == sum(found.table[word].get(word, 0) for word in ("win", "tie", "loss"))
    assert found.table["win"]["loss"] > 10
    assert found.net_win is not None
    assert found.net_win.judged > 0.2
    assert found.net_win.estimate == pytest.approx(-0.1, abs=0.15)
    mean = sum({"win": 1, "tie": 0, "loss": -1}[each] for each in truth.values()) / 400
    assert mean in found.net_win.interval


def test_a_few_labels_say_how_many_more_are_needed() -> None:
    pairs = open_pairs(report(["win"] * 50))
    [found] = agreements(pairs, labelled(pairs, dict.fromkeys(map(str, range(50)), "win"), 12))
    assert (found.net_win, found.missing, found.same) == (None, 18, 12)


def test_skipped_pairs_count_for_nothing() -> None:
    pairs = open_pairs(report(["win"] * 3))
    labels = {pair.key: label_of(pair, "skip", 0.0) for pair in pairs}
    [found] = agreements(pairs, labels)
    assert (found.labels, found.pairs) == (0, 3)


def test_labels_of_picked_pairs_settle_them_and_correct_nothing() -> None:
    made = report(["win"] * 40)
    pairs = open_pairs(made)
    labels = {pair.key: label_of(pair, "tie", 0.0, picked=True) for pair in pairs[:35]}
    [found] = agreements(pairs, labels)
    assert (found.labels, found.picked, found.net_win) == (0, 35, None)
    assert len(rulings(made, labels)) == 35
