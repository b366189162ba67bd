"""What a router is worth, by the definition of the routing data pack."""

from __future__ import annotations

import gzip
import itertools
import json
import random
from pathlib import Path

import pytest

from bench.labels import Labelled, chance, pair, read_lines, worth


def labelled(weak: list[int], strong: list[int]) -> Labelled:
    return Labelled(
        name="n",
        weak_model="w",
        strong_model="s",
        prompts=tuple(map(str, range(len(weak)))),
        weak=tuple(weak),
        strong=tuple(strong),
        rows=(),
    )


def by_definition(score: list[float], one: Labelled) -> float:
    """As the pack's README writes it down."""
    count = len(score)
    tie = list(range(count))
    random.Random(0).shuffle(tie)
    gain = sum(one.strong) - sum(one.weak)
    recovered = [0.0]
    for i in sorted(range(count), key=lambda i: (-score[i], tie[i])):
        recovered.append(recovered[-1] + (one.strong[i] - one.weak[i]) / gain)
    steps = itertools.pairwise(recovered)
    return sum(a + b for a, b in steps) / (2 * count)


def test_the_area_is_that_of_the_definition_with_ties() -> None:
    source = random.Random(1)
    one = labelled(
        [source.randint(0, 1) for _ in range(300)], [int(source.random() < 0.9) for _ in range(300)]
    )
    score = [float(source.randint(0, 5)) for _ in range(300)]
    found = worth(score, one)
    assert found.apgr == pytest.approx(by_definition(score, one))
    assert found.low < found.apgr < found.high


def test_who_sends_the_right_ones_first_is_worth_most() -> None:
    one = labelled([0] * 50 + [1] * 50, [1] * 100)
    best = worth([1.0] * 50 + [0.0] * 50, one)
    worst = worth([0.0] * 50 + [1.0] * 50, one)
    assert (best.apgr, worst.apgr) == (pytest.approx(0.75), pytest.approx(0.25))


def test_chance_is_a_half() -> None:
    one = labelled([0, 1] * 200, [1] * 400)
    coin = chance(one)
    assert coin.apgr == pytest.approx(0.5, abs=0.01)
    assert coin.low < 0.5 < coin.high


def test_a_worth_is_shown_with_its_interval() -> None:
    found = worth([1.0, 0.0] * 50, labelled([0, 1] * 50, [1] * 100))
    assert str(found).startswith("0.750 [0.7")


def test_a_pair_of_models_is_read_from_its_file(tmp_path: Path) -> None:
    rows = [
        {
            "question": "q",
            "options": ["a", "b"],
            "answers": {"w": {"correct": 0}, "s": {"correct": 1}},
        },
        {"prompt": "p\u0085p", "answers": {"w": {"correct": True}, "s": {"correct": False}}},
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    one = pair(tmp_path, "x", "w", "s")
    assert one.prompts == ("q\na\nb", "p\u0085p")
    assert (one.weak, one.strong) == ((0, 1), (1, 0))


def test_a_file_of_other_models_is_told(tmp_path: Path) -> None:
    line = json.dumps({"prompt": "p", "answers": {"w": {"correct": 1}}})
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(line.encode()))
    with pytest.raises(SystemExit, match=r"x\.jsonl\.gz: a line has no 's'; .* of w and s"):
        pair(tmp_path, "x", "w", "s")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"x\.jsonl\.gz is missing: .*folder"):
        read_lines(tmp_path, "x")
