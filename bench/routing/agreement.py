"""Two local models that agree, else the cloud: what stays here, and how good the answers are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from bench.labels import file_of, read_lines
from reshore.checks.agreement import agree
from reshore.checks.check import Said
from reshore.types import ChatRequest

_RESAMPLES = 1000
_LLAMA, _GEMMA = "Meta-Llama-3.1-8B-Instruct", "gemma-2-9b-it"
_THREES = (
    ("zeroeval_gsm", _LLAMA, _GEMMA, "gpt-4o-mini-2024-07-18"),
    ("zeroeval_gsm", _LLAMA, _GEMMA, "gpt-4o-2024-08-06"),
    ("zeroeval_crux", "Qwen2.5-7B-Instruct", _GEMMA, "gpt-4o-mini-2024-07-18"),
    ("mmlu_pro", _LLAMA, "Phi-3-mini-4k-instruct", "gemini-1.5-pro-002"),
)


class Interval(Struct, frozen=True):
    """A share with its 95 % bootstrap interval over the prompts."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


class Agreement(Struct, frozen=True, kw_only=True):
    """Attributes:
    local_share: of the prompts that both local models gave the same final answer to.
    accuracy_ratio: of what is answered, in relation to the strong model alone.
    """

    name: str
    local: str
    second: str
    strong: str
    prompts: int
    local_share: Interval
    accuracy: float
    accuracy_ratio: Interval


def agreements(folder: Path) -> list[Agreement]:
    """Of the sets whose files are there. Nothing is trained; the labels serve to count."""
    return [_agreement(folder, *three) for three in _THREES if file_of(folder, three[0]).exists()]


def _agreement(folder: Path, name: str, local: str, second: str, strong: str) -> Agreement:
    rows = read_lines(folder, name)
    answers = [row["answers"] for row in rows]
    kept = np.array([_agree(each[local]["final"], each[second]["final"]) for each in answers])
    here = np.array([each[local]["correct"] for each in answers], dtype=float)
    there = np.array([each[strong]["correct"] for each in answers], dtype=float)
    routed = np.where(kept, here, there)
    generator = np.random.default_rng(0)
    drawn = [generator.integers(0, len(rows), len(rows)) for _ in range(_RESAMPLES)]
    return Agreement(
        name=name,
        local=local,
        second=second,
        strong=strong,
        prompts=len(rows),
        local_share=_interval(kept.mean(), [kept[at].mean() for at in drawn]),
        accuracy=float(routed.mean()),
        accuracy_ratio=_interval(
            routed.mean() / there.mean(), [routed[at].mean() / there[at].mean() for at in drawn]
        ),
    )


def _agree(one: str | None, other: str | None) -> bool:
    """By the check of the cascade; where there is no final answer, there is nothing to agree on."""
    if one is None or other is None:
        return False
    request = ChatRequest(model="", messages=())
    return agree(Said(request=request, text=one), Said(request=request, text=other)).ok is True


def _interval(value: Any, resampled: list[Any]) -> Interval:
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Interval(float(value), float(low), float(high))
