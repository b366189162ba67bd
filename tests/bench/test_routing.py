"""The routing bench: who is trained on what, and what the figures are."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bench.labels import PAIRS, Labelled, file_of, prompt_set
from bench.routing.__main__ import headlines
from bench.routing.agreement import Agreement, Interval, agreements
from bench.routing.measures import measured
from bench.routing.routers import by_length, by_rules, learned, rank
from bench.routing.sets import as_pairs, chosen, part, strong_characters, trials, weak_answers
from reshore.errors import LearnError
from reshore.routing.learned import Judged


def labelled(count: int, **fields: Any) -> Labelled:
    rows = [
        {"id": f"q{at}", "key": f"q{at // 2 * 2}", "prompt": "p" * (at + 1)} | fields
        for at in range(count)
    ]
    return Labelled(
        name="n",
        weak_model="w",
        strong_model="gpt-4o",
        prompts=tuple(row["prompt"] for row in rows),
        weak=tuple(at % 2 for at in range(count)),
        strong=(1,) * count,
        rows=tuple(rows),
    )


@pytest.mark.parametrize("labels", [None, 31])
def test_no_key_is_on_both_sides(labels: int | None) -> None:
    one = labelled(100)
    asked: list[int] = []
    for trial in trials(one, None, labels, seed=3):
        seen = {pair.key for pair in trial.train}
        assert not seen & {one.rows[at]["key"] for at in trial.test}
        asked += trial.test
    assert len(set(asked)) == len(asked)
    assert len(asked) == (100 if labels is None else 68)  # a line goes with the 31st


def test_seeds_are_different_splits_that_stay_the_same() -> None:
    one = labelled(100)
    assert trials(one, None, 50, seed=0) == trials(one, None, 50, seed=0)
    assert trials(one, None, 50, seed=0) != trials(one, None, 50, seed=1)


def test_a_test_of_its_own_is_asked_whole() -> None:
    test = labelled(40)
    (trial,) = trials(labelled(100), test, 30, seed=0)
    assert len(trial.train) == 30
    assert trial.test == tuple(range(40))
    (whole,) = trials(labelled(100), test, None, seed=0)
    assert len(whole.train) == 60
    assert not {pair.key for pair in whole.train} & {row["key"] for row in test.rows}


def test_a_router_learns_from_nothing_of_the_strong_side_but_its_label() -> None:
    one = labelled(4, weak_answer="local words", strong_answer="cloud words", subject="law")
    pair = as_pairs(one)[0]
    assert (pair.answer, pair.group) == ("local words", "law")
    assert "cloud" not in repr(pair)


def test_answers_are_found_where_there_are_any() -> None:
    assert weak_answers(labelled(2)) is None
    assert weak_answers(labelled(2, answers={"w": {"text": "here"}})) == ["here", "here"]
    assert strong_characters(labelled(2)) == [4, 4]
    assert strong_characters(labelled(2, answers={"gpt-4o": {"chars": 9}})) == [9, 9]
    assert strong_characters(labelled(2, strong_answer="abc")) == [3, 3]


def test_an_empty_answer_is_an_answer() -> None:
    one = labelled(3, weak_answer="here")
    for nothing in ("", None):
        one.rows[1]["weak_answer"] = nothing
        assert weak_answers(one) == ["here", "", "here"]
    assert [pair.answer for pair in as_pairs(one)] == ["here", "", "here"]
    assert weak_answers(labelled(2, answers={"w": {"text": ""}})) == ["", ""]
    assert strong_characters(labelled(2, strong_answer="")) == [0, 0]


def test_a_line_without_the_answer_that_others_have_is_told() -> None:
    one = labelled(3, weak_answer="here")
    del one.rows[1]["weak_answer"]
    with pytest.raises(LearnError, match=r"^n: line 2 has no weak_answer of w, as 2 of 3"):
        weak_answers(one)


async def test_a_router_of_answers_is_asked_nothing_without_them() -> None:
    train = labelled(400, weak_answer="here")
    with pytest.raises(LearnError, match=r"^n: .* have the answers of w, those .* have none"):
        await learned(train, labelled(100), reads="answer")


def test_a_perfect_order_recovers_the_gap_with_the_calls_that_gain() -> None:
    one = labelled(100)
    found = measured([(one, [float(not weak) for weak in one.weak])])
    assert (found.cpt50, found.cpt80) == (pytest.approx(0.25), pytest.approx(0.4))
    assert found.curve[50] == pytest.approx(1.0)
    assert found.apgr.apgr == pytest.approx(0.75)
    assert found.usd is not None
    assert 0 < found.usd["50"] < found.usd["80"] < found.usd["all"]


def test_what_has_no_price_has_no_bill() -> None:
    one = labelled(100)
    unpriced = Labelled(
        **{name: getattr(one, name) for name in one.__struct_fields__}
        | {"strong_model": "nobody's model"}
    )
    assert measured([(unpriced, [1.0] * 100)]).usd is None


def test_what_could_not_be_had_is_null() -> None:
    share = Interval(0.8, 0.7, 0.9)
    agreed = Agreement(
        name="zeroeval_gsm",
        local="a",
        second="b",
        strong="c",
        prompts=9,
        local_share=share,
        accuracy=0.9,
        accuracy_ratio=Interval(0.99, 0.9, 1.1),
    )
    only = {"routellm_gsm8k": {"prompt length": measured([(labelled(100), [1.0] * 100)])}}
    found = headlines(only, [agreed])
    assert found["litellm.mmlu.apgr"] is None
    assert found["gsm8k.length.apgr"] == pytest.approx(0.5, abs=0.15)
    assert found["gsm8k.agreement.local_share"] == 0.8
    assert str(share) == "0.800 [0.700, 0.900]"


def test_longer_prompts_go_first_by_length() -> None:
    (scored,) = by_length(part(labelled(10), [3, 1]))
    assert scored.scores == [4.0, 2.0]
    assert len(by_rules(labelled(3))[0].scores) == 3


def test_agreement_keeps_what_two_models_say(tmp_path: Path) -> None:
    def answer(final: str | None, correct: int) -> dict[str, Any]:
        return {"final": final, "correct": correct}

    def row(local: Any, second: Any, strong: Any) -> dict[str, Any]:
        every = {"gpt-4o-mini-2024-07-18": strong, "gpt-4o-2024-08-06": strong}
        every |= {"gemini-1.5-pro-002": strong, "Phi-3-mini-4k-instruct": second}
        every |= {"Meta-Llama-3.1-8B-Instruct": local, "Qwen2.5-7B-Instruct": local}
        return {"answers": every | {"gemma-2-9b-it": second}}

    rows = [
        row(answer("12", 1), answer("12.0", 1), answer("12", 1)),
        row(answer("3", 0), answer("4", 0), answer("5", 1)),
        row(answer(None, 0), answer(None, 0), answer("5", 1)),
        row(answer("7", 0), answer("7", 0), answer("8", 1)),
    ]
    text = "".join(json.dumps(one) + "\n" for one in rows).encode()
    for name in ("zeroeval_gsm", "zeroeval_crux", "mmlu_pro"):
        (tmp_path / f"{name}.jsonl.gz").write_bytes(gzip.compress(text))
    found = agreements(tmp_path)[0]
    assert (found.local_share.value, found.accuracy) == (0.5, 0.75)
    assert found.accuracy_ratio.value == 0.75


def written(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        line = json.dumps({"id": "a", "prompt": "p", "weak": 0, "strong": 1})
        file_of(folder, name).write_bytes(gzip.compress(line.encode()))
    return folder


def test_one_file_is_enough(tmp_path: Path) -> None:
    folder = written(tmp_path, "routellm_gsm8k")
    others = [name for name in PAIRS if name != "routellm_gsm8k"]
    for wanted in (None, "routellm_gsm8k"):
        assert chosen([folder, folder], wanted) == (["routellm_gsm8k"], others)
    assert prompt_set(folder, "routellm_gsm8k").strong == (1,)
    assert agreements(folder) == []
    assert headlines({}, [])["gsm8k.agreement.local_share"] is None


def test_all_files_are_all_sets(tmp_path: Path) -> None:
    assert chosen([written(tmp_path, *PAIRS)], None) == (list(PAIRS), [])


def test_a_set_has_to_be_in_both_folders(tmp_path: Path) -> None:
    both = [written(tmp_path / "a", *PAIRS), written(tmp_path / "b", "mmlu_pro")]
    assert chosen(both, None)[0] == ["mmlu_pro"]
    with pytest.raises(LearnError, match=r"b/zeroeval_gsm\.jsonl\.gz is missing"):
        chosen(both, "mmlu_pro,zeroeval_gsm")


def test_what_is_asked_for_and_cannot_be_had_is_told(tmp_path: Path) -> None:
    with pytest.raises(LearnError, match=r"'gsm8k' is no set; there are routellm_mmlu, "):
        chosen([written(tmp_path, *PAIRS)], "gsm8k")
    with pytest.raises(LearnError, match="has none of the files"):
        chosen([tmp_path / "nowhere"], None)


def test_answers_are_ranked_as_a_cascade_decides() -> None:
    """Failed checks, then the gain; what is unlike the training stays, unless it fails one."""
    inside = Judged(gain=-0.4, score=0.1, likeness=0.5, outside=False, parts=())
    outside = Judged(gain=0.9, score=1.0, likeness=0.0, outside=True, parts=())
    assert rank(outside, "It is 4.") < rank(inside, "It is 4.") == -0.4
    assert rank(outside, "2 + 2 = 5") == rank(inside, "2 + 2 = 5") > rank(inside, "It is 4.")
    assert (rank(outside, None), rank(inside, None)) == (0.9, -0.4)
