"""What the complexity rules are worth on labelled prompts, beside prompt length and chance.

python -m bench.complexity --json OUT    about ten seconds

The rules' words and weights were chosen with these files in view (docs/performance.md says how), so
the figures are no forecast for other traffic.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.labels import Labelled, Worth, add_argument, chance, prompt_sets, worth
from bench.machine import facts
from bench.stats import quartiles
from reshore.routing.complexity import Rules
from reshore.routing.content import Content, Turn

_ROUTERS: dict[str, Callable[[str], float]] = {
    "prompt length": len,
    "rules": lambda prompt: Rules().explain(_content(prompt)).score,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, help="where the report goes")
    add_argument(parser)
    arguments = parser.parse_args()
    sets = list(prompt_sets(arguments.data))
    figures = {one.name: _measured(one) for one in sets}
    costs = [cost for one in sets for cost in _costs_us(one)]
    low, median, high = quartiles(costs)
    cost = {"median": median, "low": low, "high": high, "longest": max(costs)}
    print(_table(sets, figures))
    print(f"\nµs per prompt: median {median:.0f}, quartiles {low:.0f} – {high:.0f}")
    if arguments.json:
        report = {"machine": facts(), "apgr": figures, "us_per_prompt": cost}
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))


def _measured(labelled: Labelled) -> dict[str, Worth]:
    scored = {
        router: worth([score(prompt) for prompt in labelled.prompts], labelled)
        for router, score in _ROUTERS.items()
    }
    return {"random": chance(labelled)} | scored


def _costs_us(labelled: Labelled) -> list[float]:
    rules = Rules()
    contents = [_content(prompt) for prompt in labelled.prompts]
    costs = []
    for content in contents:
        begun = time.perf_counter_ns()
        rules.explain(content)
        costs.append((time.perf_counter_ns() - begun) / 1000)
    return costs


def _content(prompt: str) -> Content:
    return Content(turns=(Turn("user", prompt),))


def _table(sets: list[Labelled], figures: dict[str, dict[str, Worth]]) -> str:
    routers = list(figures[sets[0].name])
    lines = [f"| labels | n | {' | '.join(routers)} |", "|---|---|" + "---|" * len(routers)]
    for one in sets:
        pair = f"`{one.name}`: {one.weak_model} / {one.strong_model}"
        cells = " | ".join(str(figures[one.name][router]) for router in routers)
        lines.append(f"| {pair} | {len(one.prompts)} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
