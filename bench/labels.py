"""Prompts with known answers of a weaker and a stronger model, and what a router is worth on them.

The files and the metric are those of the routing data pack (its README.md): for each prompt,
whether either model was right. APGR is the area under the performance gap recovered, over the share
of calls that go to the stronger model; 0.5 is what chance reaches.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

_RESAMPLES = 1000
_DATA = "RESHORE_ROUTING_DATA"
_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data" / "routing"

_MIXTRAL, _GPT4 = "Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"
_LLAMA, _GPT4O = "Meta-Llama-3.1-8B-Instruct", "gpt-4o-2024-08-06"
# Of each file the weak and the strong model: the pair that the published figures have, or a local
# model of 7 to 9 billion parameters against the best cloud model there.
PAIRS = {
    "routellm_mmlu": (_MIXTRAL, _GPT4),
    "routellm_gsm8k": (_MIXTRAL, _GPT4),
    "zeroeval_gsm": (_LLAMA, _GPT4O),
    "zeroeval_crux": ("Qwen2.5-7B-Instruct", _GPT4O),
    "mmlu_pro": (_LLAMA, "gemini-1.5-pro-002"),
}


class Labelled(Struct, frozen=True, kw_only=True):
    """Prompts, and for each whether the weak and the strong model were right (1) or not (0).

    Attributes:
        rows: the lines as they are, for routers that look at answers.
    """

    name: str
    weak_model: str
    strong_model: str
    prompts: tuple[str, ...]
    weak: tuple[int, ...]
    strong: tuple[int, ...]
    rows: tuple[dict[str, Any], ...]


class Worth(Struct, frozen=True, kw_only=True):
    """An APGR with its 95 % bootstrap interval over the prompts."""

    apgr: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.apgr:.3f} [{self.low:.3f}, {self.high:.3f}]"


def add_argument(parser: argparse.ArgumentParser) -> None:
    """`--data`: where the files are."""
    default = Path(os.environ.get(_DATA, _BESIDE))
    parser.add_argument("--data", type=Path, default=default, help=f"folder; or set {_DATA}")


def read_lines(folder: Path, name: str) -> list[dict[str, Any]]:
    """The lines of one file of the pack.

    Raises:
        SystemExit: it is not there.
    """
    path = file_of(folder, name)
    if not path.exists():
        raise SystemExit(f"{path} is missing: name the folder that has the routing data")
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return [json.loads(line) for line in file]


def file_of(folder: Path, name: str) -> Path:
    """Where the lines of a set are."""
    return folder / f"{name}.jsonl.gz"


def prompt_sets(folder: Path) -> Iterator[Labelled]:
    """All sets, with the models of `PAIRS`."""
    return (prompt_set(folder, name) for name in PAIRS)


def prompt_set(folder: Path, name: str) -> Labelled:
    """One set, with its models of `PAIRS`."""
    return pair(folder, name, *PAIRS[name])


def pair(folder: Path, name: str, weak: str, strong: str) -> Labelled:
    """Two models of a file, which has those two alone or several.

    Raises:
        SystemExit: it is not there, or has no answers of them.
    """
    rows = read_lines(folder, name)
    try:
        return Labelled(
            name=name,
            weak_model=weak,
            strong_model=strong,
            prompts=tuple(_prompt(row) for row in rows),
            weak=tuple(_is_right(row, "weak", weak) for row in rows),
            strong=tuple(_is_right(row, "strong", strong) for row in rows),
            rows=tuple(rows),
        )
    except KeyError as error:
        raise SystemExit(
            f"{file_of(folder, name)}: a line has no {error}; a line has the fields `weak` and "
            f"`strong`, or `answers` of {weak} and {strong}"
        ) from error


def chance(labelled: Labelled) -> Worth:
    """What a coin is worth: the mean over many, and where 95 % of them lie."""
    weak, strong = np.asarray(labelled.weak), np.asarray(labelled.strong)
    generator = np.random.default_rng(0)
    found = [
        _apgr(np.zeros(len(weak)), weak, strong, generator.permutation(len(weak)))
        for _ in range(_RESAMPLES)
    ]
    low, high = np.quantile(found, (0.025, 0.975))
    return Worth(apgr=float(np.mean(found)), low=float(low), high=float(high))


def worth(scores: Sequence[float], labelled: Labelled) -> Worth:
    """What sorting by these scores is worth: the higher, the sooner to the strong model."""
    score = np.asarray(scores, dtype=float)
    weak, strong = np.asarray(labelled.weak), np.asarray(labelled.strong)
    tie = list(range(len(score)))
    random.Random(0).shuffle(tie)
    ties = np.asarray(tie)
    generator = np.random.default_rng(0)
    resampled = []
    for _ in range(_RESAMPLES):
        at = generator.integers(0, len(score), len(score))
        resampled.append(_apgr(score[at], weak[at], strong[at], ties[at]))
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Worth(apgr=_apgr(score, weak, strong, ties), low=float(low), high=float(high))


def _apgr(score: Any, weak: Any, strong: Any, ties: Any) -> float:
    """By exact sort, equal scores in the order of `ties`, and the trapezoid rule."""
    gain = (strong - weak)[np.lexsort((ties, -score))]
    recovered = np.concatenate(([0.0], np.cumsum(gain) / gain.sum()))
    return float((recovered[:-1] + recovered[1:]).mean() / 2)


def _is_right(row: dict[str, Any], side: str, model: str) -> int:
    return int(row[side] if side in row else row["answers"][model]["correct"])


def _prompt(row: dict[str, Any]) -> str:
    if "prompt" in row:
        return str(row["prompt"])
    return "\n".join([row["question"], *row["options"]])
