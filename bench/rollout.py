"""How often a rollout ends wrongly: `python -m bench.rollout --json OUT [--runs N]`, minutes.

Each run is one rollout of the real state machine, with the plan that rollouts have by default, on
a clock that is moved. Its evidence is looked at after every pair, every request and every tick; it
ends when it is done or rolled back, or has had so many pairs. A wrong end is:

- where both sides are alike, or the new one is as bad as its guards just allow: a rollback;
- where the net win is below its limit, from the start or from a step on: any promotion from then
  on, be it only to the next step.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import time
from collections import Counter
from pathlib import Path
from random import Random
from statistics import NormalDist, median
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bench.machine import facts
from reshore.routing.rollout import OVER, Rollout
from reshore.routing.rollout_moves import Move, Promote, RollBack
from reshore.routing.rollout_plan import Plan
from reshore.stats.interval import Interval
from reshore.stats.rates import wilson
from reshore.testing import MovableClock

RUNS = 1000
# Pairs a rollout may take before it is left alone. Both sides alike, it needs a third of them; at
# its limits it would go on for ever, and takes most of its risks early.
_MOST_PAIRS = 40_000
_MOST_PAIRS_AT_LIMITS = 10_000
_PAIRS_PER_TICK = 50
_SECONDS_PER_PAIR = 2.0
_UNDECIDED = 0.1
# Times to first token have a long tail: lognormal, sigma 0.5, median 300 ms.
_TTFT_MS = tuple(
    300.0 * math.exp(0.5 * NormalDist().inv_cdf((k + 0.5) / 4096)) for k in range(4096)
)


class World(Struct, frozen=True, kw_only=True):
    """What is true of both sides.

    Attributes:
        net_win: once the new side has `from_share` percent of the traffic; 0 before.
        discordance: share of decided pairs that one side wins.
        errors, new_errors: error rates of the other and of the new side.
        slower: ratio of the new side's times to first token to the other's.
        most_pairs: after which a run is left alone.
        wrong: the move that would be a mistake.
    """

    wrong: type[Promote] | type[RollBack]
    net_win: float = 0.0
    from_share: float = 0.0
    discordance: float = 0.2
    errors: float = 0.01
    new_errors: float = 0.01
    slower: float = 1.0
    most_pairs: int = _MOST_PAIRS


# What the issue asks for, and what is as hard as can be.
NO_DIFFERENCE = World(wrong=RollBack)
AT_EVERY_LIMIT = World(
    wrong=RollBack,
    net_win=-0.03,
    new_errors=0.02,
    slower=1.2,
    most_pairs=_MOST_PAIRS_AT_LIMITS,
)
LOSS = World(net_win=-0.06, wrong=Promote)
LATE_LOSS = replace(LOSS, from_share=25.0)
LEAST_LOSS = World(wrong=Promote, net_win=-0.031, most_pairs=_MOST_PAIRS_AT_LIMITS)

WORLDS = {
    "rollout.false_rollback": NO_DIFFERENCE,
    "rollout.false_promotion": LOSS,
    "rollout.false_promotion_late": LATE_LOSS,
    "rollout.false_rollback_at_limits": AT_EVERY_LIMIT,
    "rollout.false_promotion_at_margin": LEAST_LOSS,
}


class Ended(Struct, frozen=True, kw_only=True):
    """One run. `wrong`: the move that would be a mistake was made."""

    state: str
    wrong: bool
    pairs: int


class Traffic:
    """Requests and pairs of one world, an event at a time."""

    def __init__(self, rollout: Rollout, world: World, seed: int, clock: MovableClock) -> None:
        self._rollout = rollout
        self._draw = Random(seed).random
        self._clock = clock
        self._world = world

    def pair(self) -> Move | None:
        """A pair is compared."""
        world, drawn = self._world, self._draw()
        if self._draw() < _UNDECIDED:
            return self._rollout.pair("undecided", self._clock.wall())
        net_win = world.net_win if self._rollout.share >= world.from_share else 0.0
        if drawn < (world.discordance + net_win) / 2:
            return self._rollout.pair("win", self._clock.wall())
        lost = drawn < world.discordance
        return self._rollout.pair("loss" if lost else "tie", self._clock.wall())

    def new_answers(self) -> Move | None:
        """The new side answers a request."""
        world = self._world
        failed = self._draw() < world.new_errors
        ttft_ms = _TTFT_MS[int(self._draw() * 4096)] * world.slower
        return self._rollout.answered(
            "local", self._clock.wall(), failed=failed, ttft_ms=None if failed else ttft_ms
        )

    def other_answers(self) -> Move | None:
        """The other side answers one."""
        failed = self._draw() < self._world.errors
        ttft_ms = None if failed else _TTFT_MS[int(self._draw() * 4096)]
        return self._rollout.answered("cloud", self._clock.wall(), failed=failed, ttft_ms=ttft_ms)

    def one_answers(self) -> Move | None:
        """The side whose turn it is by the split answers one that nobody mirrors."""
        new = self._draw() * 100 < self._rollout.share
        return self.new_answers() if new else self.other_answers()

    def tick(self) -> Move | None:
        """Nothing but time has passed."""
        return self._rollout.tick(self._clock.wall())


async def run(world: World, seed: int, plan: Plan) -> Ended:
    """One rollout from its start to its end."""
    clock = MovableClock()
    rollout = Rollout.start(plan, clock.wall())
    traffic = Traffic(rollout, world, seed, clock)
    mirrored = (traffic.pair, traffic.new_answers, traffic.other_answers, traffic.one_answers)
    wrong, pairs = False, 0
    while pairs < world.most_pairs and rollout.state not in OVER:
        events = mirrored
        if pairs % _PAIRS_PER_TICK == 0:
            await clock.advance(_PAIRS_PER_TICK * _SECONDS_PER_PAIR)
            events = (traffic.tick, *mirrored)
        pairs += 1
        for event in events:
            if (move := event()) is not None:
                counts = move.evidence.share >= world.from_share
                wrong = wrong or (counts and isinstance(move, world.wrong))
                rollout.carried_out(len(rollout.versions) + 1, clock.wall())
    return Ended(state=rollout.state, wrong=wrong, pairs=pairs)


def figure(runs: list[Ended]) -> dict[str, Any]:
    """How many of all runs ended wrongly, and how the runs ended."""
    wrong = sum(one.wrong for one in runs)
    within: Interval = wilson(wrong, len(runs))
    return {
        "rate": wrong / len(runs),
        "interval": [within.low, within.high],
        "wrong": wrong,
        "runs": len(runs),
        "states": dict(Counter(one.state for one in runs)),
        "median_pairs": median(one.pairs for one in runs),
    }


async def _all(runs: int, names: list[str]) -> dict[str, dict[str, Any]]:
    figures, plan = {}, Plan(route="*")
    for name in names:
        figures[name] = figure([await run(WORLDS[name], seed, plan) for seed in range(runs)])
        print(_line(name, figures[name]), flush=True)
    return figures


def _line(name: str, found: dict[str, Any]) -> str:
    low, high = found["interval"]
    states = ", ".join(f"{count} {state}" for state, count in found["states"].items())
    return (
        f"| `{name}` | {found['rate']:.3f} [{low:.3f}, {high:.3f}] | {found['runs']} | {states} "
        f"| {found['median_pairs']:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--json", type=Path, help="where the report goes")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each world")
    parser.add_argument("--only", nargs="+", choices=WORLDS, default=[*WORLDS], help="some figures")
    arguments = parser.parse_args()
    begun = time.perf_counter()
    print("| figure | wrong ends | runs | ends | median pairs |\n|---|---|---|---|---|")
    figures = asyncio.run(_all(arguments.runs, arguments.only))
    seconds = time.perf_counter() - begun
    print(f"\n{seconds:.0f} s")
    if arguments.json:
        report = {
            "machine": facts(),
            "seconds": seconds,
            "figures": {name: found["rate"] for name, found in figures.items()},
            "detail": figures,
        }
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))


if __name__ == "__main__":
    main()
