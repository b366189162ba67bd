"""The labels as routers may see them, and who is trained on which."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from bench.labels import PAIRS, Labelled, file_of
from reshore.errors import LearnError
from reshore.evals.pairs import Pair

SEEDS = range(5)
_FOLDS = 5


class Trial(Struct, frozen=True):
    """What a router is trained on, and the lines (by number) of the test that it is then asked."""

    train: tuple[Pair, ...]
    test: tuple[int, ...]


def chosen(folders: Sequence[Path], wanted: str | None) -> tuple[list[str], list[str]]:
    """Names of the sets to run, and of those that are left out, as a folder has no file of them.

    Args:
        wanted: names, separated by commas; None for whatever is there.

    Raises:
        LearnError: one that is wanted is none or is not there, or nothing is there.
    """
    missing = {
        name: path
        for name in PAIRS
        for path in (file_of(folder, name) for folder in folders)
        if not path.exists()
    }
    names = [name for name in PAIRS if name not in missing]
    if wanted is not None:
        asked = [name.strip() for name in wanted.split(",")]
        unknown = [name for name in asked if name not in PAIRS]
        if unknown:
            raise LearnError(f"'{unknown[0]}' is no set; there are {', '.join(PAIRS)}.")
        names = [name for name in PAIRS if name in asked]
        for name in names:
            if name in missing:
                raise LearnError(f"{missing[name]} is missing: name the folder that has it.")
    if not names:
        raise LearnError(
            f"{folders[0]} has none of the files {', '.join(PAIRS)} (.jsonl.gz), or what is asked "
            "has others: name the folders that have the routing data."
        )
    return names, list(missing)


def trials(train: Labelled, test: Labelled | None, labels: int | None, seed: int) -> list[Trial]:
    """Who learns from what, for one seed; no key is on both sides.

    With `labels`, so many lines are for training and all others for the test. Without, each fifth
    is asked of a router that was trained on the other four. With a test set of its own, all of that
    is asked, and what is in it, too, is left out of the training.
    """
    pairs = as_pairs(train)
    order = _shuffled(pairs, seed)
    if test is not None:
        asked = {row.get("key", row["id"]) for row in test.rows}
        chosen = [at for at in order if pairs[at].key not in asked][:labels]
        return [Trial(tuple(pairs[at] for at in chosen), tuple(range(len(test.prompts))))]
    if labels is not None:
        return [_trial(pairs, order[:labels], order)]
    keys = list(dict.fromkeys(pairs[at].key for at in order))
    fold = {key: at % _FOLDS for at, key in enumerate(keys)}
    return [
        _trial(pairs, [at for at in order if fold[pairs[at].key] != left_out], order)
        for left_out in range(_FOLDS)
    ]


def as_pairs(labelled: Labelled) -> tuple[Pair, ...]:
    """What may be learned from: the subject is a target of the training, never an input."""
    answers = weak_answers(labelled)
    return tuple(
        Pair(
            prompt=prompt,
            weak=weak,
            strong=strong,
            answer=answer,
            key=row.get("key", row["id"]),
            group=row.get("subject", ""),
        )
        for prompt, weak, strong, answer, row in zip(
            labelled.prompts,
            labelled.weak,
            labelled.strong,
            [""] * len(labelled.prompts) if answers is None else answers,
            labelled.rows,
            strict=True,
        )
    )


def weak_answers(labelled: Labelled) -> list[str] | None:
    """The weak model's answers, None where the set has no texts. An empty answer is one.

    Raises:
        LearnError: some lines have one, and some have none.
    """
    return _texts(labelled, "weak_answer", labelled.weak_model)


def strong_characters(labelled: Labelled) -> list[int]:
    """How long the strong model's answers are; 4 characters (a token) where nobody says."""
    texts = _texts(labelled, "strong_answer", labelled.strong_model)
    if texts is not None:
        return [len(text) for text in texts]
    return [_answer(row, labelled.strong_model).get("chars", 4) for row in labelled.rows]


def part(labelled: Labelled, lines: Sequence[int]) -> Labelled:
    """Some lines of a set."""
    return structs.replace(
        labelled,
        prompts=tuple(labelled.prompts[at] for at in lines),
        weak=tuple(labelled.weak[at] for at in lines),
        strong=tuple(labelled.strong[at] for at in lines),
        rows=tuple(labelled.rows[at] for at in lines),
    )


def _texts(labelled: Labelled, field: str, model: str) -> list[str] | None:
    found = [_text(row, field, model) for row in labelled.rows]
    texts = [text for text in found if text is not None]
    if texts and len(texts) < len(found):
        raise LearnError(
            f"{labelled.name}: line {found.index(None) + 1} has no {field} of {model}, as "
            f"{len(texts)} of {len(found)} lines have: give all of them one, or none."
        )
    return texts or None


def _text(row: dict[str, Any], field: str, model: str) -> str | None:
    """None where nobody says; a null says that the model gave nothing."""
    given, name = (row, field) if field in row else (_answer(row, model), "text")
    return given[name] or "" if name in given else None


def _answer(row: dict[str, Any], model: str) -> dict[str, Any]:
    found: dict[str, Any] = row.get("answers", {}).get(model, {})
    return found


def _shuffled(pairs: Sequence[Pair], seed: int) -> list[int]:
    """All lines, those of one key beside each other."""
    keys = sorted({pair.key for pair in pairs})
    random.Random(seed).shuffle(keys)
    rank = {key: at for at, key in enumerate(keys)}
    return sorted(range(len(pairs)), key=lambda at: rank[pairs[at].key])


def _trial(pairs: Sequence[Pair], train: Sequence[int], everything: Sequence[int]) -> Trial:
    seen = {pairs[at].key for at in train}
    test = tuple(at for at in everything if pairs[at].key not in seen)
    return Trial(tuple(pairs[at] for at in train), test)
