"""What checks of an answer are worth on labelled answers, beside chance and prompt length.

python -m bench.checks --json OUT    about ten seconds

The checks look at the weaker model's answer (two of them: at two), so that the figures stand beside
those of `bench.complexity`, which sees prompts alone, and not against them. Nothing was trained;
the false alarms of the arithmetic check were looked at on these files, and its rules amended.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from bench.labels import Labelled, Worth, add_argument, chance, pair, prompt_sets, worth
from bench.machine import facts
from bench.stats import quartiles
from reshore.checks.agreement import agree
from reshore.checks.arithmetic import check_arithmetic, statements
from reshore.checks.check import Said
from reshore.checks.final_answer import is_marked
from reshore.checks.refusal import check_refusal
from reshore.checks.repetition import check_repetition
from reshore.checks.shape import check_empty, check_finish
from reshore.types import ChatRequest, Message

_SMALL = ("Meta-Llama-3.1-8B-Instruct", "gemma-2-9b-it", "Qwen2-7B-Instruct", "gemma-2-2b-it")
_CLOUD = "gpt-4o-mini-2024-07-18"
_PAIRS = (
    ("zeroeval_gsm", "Meta-Llama-3.1-8B-Instruct", "gemma-2-9b-it", _CLOUD),
    ("zeroeval_gsm", "Qwen2-7B-Instruct", "Phi-3.5-mini-instruct", _CLOUD),
    ("zeroeval_gsm", "gemma-2-2b-it", "Meta-Llama-3.1-8B-Instruct", _CLOUD),
    ("zeroeval_crux", "Qwen2.5-7B-Instruct", "gemma-2-9b-it", _CLOUD),
)


class Cascaded(Struct, frozen=True, kw_only=True):
    """What a cascade on agreement comes to; in per cent, but for the gap recovered (PGR)."""

    labels: str
    local: str
    other: str
    cloud: str
    escalated: float
    accuracy: float
    local_accuracy: float
    cloud_accuracy: float
    recovered: float


class Alarms(Struct, frozen=True, kw_only=True):
    """How often the arithmetic check fails on right and on wrong answers of one model."""

    model: str
    right: int
    wrong: int
    failed_right: int
    failed_wrong: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, help="where the report goes")
    add_argument(parser)
    arguments = parser.parse_args()
    gsm8k = next(one for one in prompt_sets(arguments.data) if one.name == "routellm_gsm8k")
    apgr = _measured(gsm8k)
    cascades = [_cascaded(arguments.data, *names) for names in _PAIRS]
    alarms = list(_alarms(arguments.data, gsm8k))
    low, median, high = quartiles(_costs_us(gsm8k))
    print(_table(apgr, cascades, alarms))
    print(f"\nµs per answer, all checks: median {median:.0f}, quartiles {low:.0f} - {high:.0f}")
    if arguments.json:
        report = {
            "machine": facts(),
            "apgr": apgr,
            "cascades": cascades,
            "arithmetic": alarms,
            "us_per_answer": {"median": median, "low": low, "high": high},
        }
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))


def _measured(labelled: Labelled) -> dict[str, Worth]:
    answers = [row["weak_answer"] for row in labelled.rows]
    scorers: dict[str, Callable[[str], float]] = {
        "arithmetic": _arithmetic_score,
        "final answer": lambda text: float(not is_marked(text)),
        "both": lambda text: 2 * _arithmetic_score(text) + float(not is_marked(text)),
    }
    found = {
        name: worth([score(text) for text in answers], labelled) for name, score in scorers.items()
    }
    length = worth([len(prompt) for prompt in labelled.prompts], labelled)
    return {"random": chance(labelled), "prompt length": length} | found


def _arithmetic_score(answer: str) -> float:
    judged = list(statements(answer))
    return 1.0 if False in judged else 0.0 if judged else 0.5


def _cascaded(folder: Path, name: str, local: str, other: str, cloud: str) -> Cascaded:
    """Escalate where two local models do not come down to the same."""
    labelled = pair(folder, name, local, cloud)
    escalated = [not _agrees(row["answers"], local, other) for row in labelled.rows]
    sides = zip(escalated, labelled.weak, labelled.strong, strict=True)
    right = sum(strong if up else weak for up, weak, strong in sides)
    count = len(escalated)
    accuracy, weak, strong = (
        100 * each / count for each in (right, sum(labelled.weak), sum(labelled.strong))
    )
    return Cascaded(
        labels=name,
        local=local,
        other=other,
        cloud=cloud,
        escalated=100 * sum(escalated) / count,
        accuracy=accuracy,
        local_accuracy=weak,
        cloud_accuracy=strong,
        recovered=(accuracy - weak) / (strong - weak),
    )


def _agrees(answers: dict[str, Any], local: str, other: str) -> bool:
    return agree(_said(answers[local]["text"]), _said(answers[other]["text"])).ok is True


def _alarms(folder: Path, gsm8k: Labelled) -> Iterator[Alarms]:
    yield _counted(gsm8k.weak_model, [row["weak_answer"] for row in gsm8k.rows], gsm8k.weak)
    for model in _SMALL:
        rows = pair(folder, "zeroeval_gsm", model, _CLOUD)
        yield _counted(model, [row["answers"][model]["text"] for row in rows.rows], rows.weak)


def _counted(model: str, answers: Sequence[str], right: Sequence[int]) -> Alarms:
    failed = [check_arithmetic(_said(answer)).ok is False for answer in answers]
    both = list(zip(failed, right, strict=True))
    return Alarms(
        model=model,
        right=sum(right),
        wrong=len(right) - sum(right),
        failed_right=both.count((True, 1)),
        failed_wrong=both.count((True, 0)),
    )


def _costs_us(labelled: Labelled) -> list[float]:
    checks = (check_finish, check_empty, check_refusal, check_repetition, check_arithmetic)
    costs = []
    for row in labelled.rows:
        said = _said(row["weak_answer"])
        begun = time.perf_counter_ns()
        for check in checks:
            check(said)
        costs.append((time.perf_counter_ns() - begun) / 1000)
    return costs


def _said(text: str) -> Said:
    request = ChatRequest(model="m", messages=(Message(role="user", content="?"),))
    return Said(request=request, text=text, finish_reason="stop")


def _table(apgr: dict[str, Worth], cascades: list[Cascaded], alarms: list[Alarms]) -> str:
    lines = ["| GSM8K, Mixtral-8x7B / GPT-4 | APGR |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in apgr.items()]
    lines += [
        "",
        "| arithmetic check | fails, right answers | fails, wrong answers |",
        "|---|---|---|",
    ]
    lines += [
        f"| {one.model} | {one.failed_right} of {one.right} | {one.failed_wrong} of {one.wrong} |"
        for one in alarms
    ]
    lines += ["", "| local + other -> cloud | escalated | accuracy | local / cloud | PGR |"]
    lines += ["|---|---|---|---|---|"]
    lines += [
        f"| `{one.labels}`: {one.local} + {one.other} | {one.escalated:.1f} % "
        f"| {one.accuracy:.2f} | {one.local_accuracy:.2f} / {one.cloud_accuracy:.2f} "
        f"| {one.recovered:.3f} |"
        for one in cascades
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
