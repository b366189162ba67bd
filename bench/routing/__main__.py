"""What routers are worth on real labels: rules, learned, after the answer, agreement, LiteLLM's.

    python -m bench.routing --json OUT                           five seeded splits of one folder
    python -m bench.routing --train DIR --test DIR --json OUT    trained on one, asked on the other

DIR holds files as those of the routing data pack, some or all of them. At decision time a router
sees the prompt, after the answer also the weak model's, and for agreement the final answers of two
local models; nothing else of a line, and nothing of the strong model. Takes some minutes; needs the
extras learn and bench.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

import msgspec

from bench.labels import Labelled, prompt_set
from bench.machine import facts
from bench.routing.agreement import Agreement, agreements
from bench.routing.litellm import ROUTERS, scores
from bench.routing.measures import Measured, measured
from bench.routing.plot import draw
from bench.routing.promises import Promise, promises
from bench.routing.routers import Scored, by_chance, by_length, by_rules, learned
from bench.routing.sets import chosen, weak_answers
from reshore.errors import LearnError

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data" / "routing"
_ENVIRONMENT = Path("~/.cache/reshore-bench/litellm").expanduser()
# What published figures were reached with, and what a user may have after a week.
_LABELS = {"routellm_mmlu": (5000, 1500)}

Figures = dict[str, dict[str, Measured]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", type=Path, default=_BESIDE, help="folder to learn from")
    parser.add_argument("--test", type=Path, help="folder to ask; without, parts of --train")
    parser.add_argument("--json", type=Path, help="where the report goes")
    parser.add_argument("--plots", type=Path, help="folder for the curves (SVG)")
    parser.add_argument("--sets", help="some of the sets, separated by commas")
    parser.add_argument(
        "--litellm", type=Path, default=_ENVIRONMENT, help="its environment; made if missing"
    )
    try:
        asyncio.run(_run(parser.parse_args()))
    except LearnError as error:
        raise SystemExit(str(error)) from error


async def _run(arguments: argparse.Namespace) -> None:
    asked = arguments.test or arguments.train
    names, missing = chosen([arguments.train, asked], arguments.sets)
    if missing:
        print(f"left out, as their files are missing: {', '.join(missing)}", file=sys.stderr)
    figures: Figures = {}
    kept: list[Promise] = []
    for name in names:
        train = prompt_set(arguments.train, name)
        held_out = prompt_set(arguments.test, name) if arguments.test else None
        figures[name] = await _figures(train, held_out, arguments.litellm)
        print(_table(held_out or train, figures[name]), flush=True)
        if name in _LABELS:
            kept += await promises(train, held_out, max(_LABELS[name]))
        if arguments.plots:
            arguments.plots.mkdir(parents=True, exist_ok=True)
            draw(arguments.plots, held_out or train, figures[name])
    agreed = agreements(asked)
    print(_agreement_table(agreed))
    print(_promise_table(kept))
    if arguments.json:
        report = {
            "machine": facts(),
            "figures": headlines(figures, agreed),
            "sets": figures,
            "agreement": agreed,
            "promises": kept,
        }
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))


async def _figures(
    train: Labelled, held_out: Labelled | None, litellm: Path
) -> dict[str, Measured]:
    """All routers on one set. Untrained ones are asked all of it, whatever the splits."""
    asked = held_out or train
    found: dict[str, list[Scored]] = {
        "random": by_chance(asked),
        "prompt length": by_length(asked),
        "rules": by_rules(asked),
    }
    theirs = scores(litellm, asked.prompts) or {}
    for name in ROUTERS:
        found[f"litellm {name}"] = [Scored(asked, theirs[name])] if name in theirs else []
    for labels in _LABELS.get(train.name, (None,)):
        name = f"learned, {labels} labels" if labels else "learned"
        found[name] = await learned(train, held_out, labels=labels)
    if weak_answers(train) is not None:
        found["learned, after the answer"] = await learned(train, held_out, reads="answer")
    return {name: _measured(splits) for name, splits in found.items() if splits}


def _measured(splits: list[Scored]) -> Measured:
    outside = [split.outside for split in splits if split.outside is not None]
    share = sum(outside) / len(outside) if outside else None
    return measured([(split.labelled, split.scores) for split in splits], share)


def headlines(figures: Figures, agreed: list[Agreement]) -> dict[str, float | None]:
    """The figures by the names that they are tracked under; None for what could not be had."""
    gsm8k = next((one for one in agreed if one.name == "zeroeval_gsm"), None)
    mmlu, grade_school = "routellm_mmlu", "routellm_gsm8k"
    wanted = {
        "mmlu.length.apgr": (mmlu, "prompt length"),
        "mmlu.rules.apgr": (mmlu, "rules"),
        "mmlu.learned.apgr": (mmlu, "learned, 5000 labels"),
        "mmlu.learned_1500.apgr": (mmlu, "learned, 1500 labels"),
        "gsm8k.length.apgr": (grade_school, "prompt length"),
        "gsm8k.rules.apgr": (grade_school, "rules"),
        "gsm8k.learned.apgr": (grade_school, "learned"),
        "gsm8k.cascade.apgr": (grade_school, "learned, after the answer"),
        "litellm.mmlu.apgr": (mmlu, "litellm heuristic"),
        "litellm.gsm8k.apgr": (grade_school, "litellm heuristic"),
    }
    found: dict[str, float | None] = {}
    for name, (of, router) in wanted.items():
        one = figures.get(of, {}).get(router)
        found[name] = one.apgr.apgr if one else None
    found["gsm8k.agreement.local_share"] = gsm8k.local_share.value if gsm8k else None
    ratio = gsm8k.accuracy_ratio.value if gsm8k else None
    found["gsm8k.agreement.accuracy_ratio"] = ratio
    return found


def _table(labelled: Labelled, figures: dict[str, Measured]) -> str:
    pair = f"{labelled.weak_model} / {labelled.strong_model}"
    lines = [
        f"\n{labelled.name}: {pair}, {len(labelled.prompts)} prompts\n",
        "| router | APGR [95 %] | splits | CPT50 | CPT80 | $ per 1,000: 50 % | 80 % | all |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, one in figures.items():
        spread = f"{min(one.splits):.3f} – {max(one.splits):.3f}" if len(one.splits) > 1 else ""
        usd = [f"{one.usd[key]:.2f}" if one.usd else "?" for key in ("50", "80", "all")]
        cells: list[Any] = [name, one.apgr, spread, f"{one.cpt50:.1%}", f"{one.cpt80:.1%}", *usd]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _agreement_table(agreed: list[Agreement]) -> str:
    lines = [
        "\n| agreement of | else | n | stays local | accuracy | of the strong model's |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.name}: {one.local} + {one.second} | {one.strong} | {one.prompts} "
        f"| {one.local_share} | {one.accuracy:.4f} | {one.accuracy_ratio} |"
        for one in agreed
    ]
    return "\n".join(lines)


def _promise_table(kept: list[Promise]) -> str:
    lines = ["\n| promised | threshold | to the cloud | quality | left to the rules |"]
    lines.append("|---|---|---|---|---|")
    lines += [
        f"| {one.goal}, {one.confidence:.0%} sure | {one.threshold:.2f} | {one.cloud:.3f} "
        f"| {one.quality:.4f} | {one.outside:.3f} |"
        for one in kept
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
