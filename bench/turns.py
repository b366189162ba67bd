"""How engines share cores, by how their threads wait and whether they take turns.

    python -m bench.turns --json OUT [--pairs 15] [--sweep] [--model NAME | --file FILE.gguf]

Every case decodes for a fixed time and counts tokens, so that a collapse costs no more time than a
success. The cases of one pair run one after the other, again and again, so that whatever else the
machine does falls on all of them; the ratios are taken within a pair, and the median is over pairs.
A case during which other programs took more than a tenth of a core is measured again, a few times;
the JSON says how much they took in the one that counted.

Waiting is one number, libgomp's GOMP_SPINCOUNT: 300000 is what it takes by itself, 0 is what
OMP_WAIT_POLICY=passive means. The cases need Linux; elsewhere the number has no effect.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import psutil

from bench.engines import engine, file_model, tokens
from reshore import config
from reshore.clock import SystemClock
from reshore.engine.base import Engine
from reshore.engine.turns import Turns
from reshore.engine.waiting import GOMP_SPIN_ROUNDS
from reshore.models.facts import Servable
from reshore.models.store import Store

DEFAULT_SPINS = 300_000  # libgomp's own when neither variable is set
PASSIVE_SPINS = 0
SWEEP = (100, 300, 1000, 3000, 10_000)
FIRST_TOKEN_S = 8.0
TURN_S = 0.15

# A process that wants one whole core, for no longer than a case can take.
BUSY = "import time; end = time.monotonic() + 40\nwhile time.monotonic() < end: pass"

# Cores that other programs may take before a case is measured again, and how often it may be.
QUIET_CORES = 0.1
ATTEMPTS = 3
# How long to wait for a quiet moment before a case, and how long a look at the machine takes.
PATIENCE_S = 6.0
LOOK_S = 0.15

Rates = dict[str, list[float]]


@contextmanager
def foreign_load(wanted: bool) -> Iterator[list[int]]:
    """A busy process beside the engines; its process id."""
    if not wanted:
        yield []
        return
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield [process.pid]
    finally:
        process.kill()
        process.wait()


def busy_seconds() -> float:
    """Processor time that all programs together have used since the machine started."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


def own_seconds(pids: Sequence[int]) -> float:
    """Processor time that these processes have used."""
    spent = (psutil.Process(pid).cpu_times() for pid in pids)
    return sum(float(times.user + times.system) for times in spent)


async def calm() -> None:
    """Wait until no program uses a core, but not for ever: a shared machine may never be quiet."""
    given_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < given_up:
        before = busy_seconds()
        await asyncio.sleep(LOOK_S)
        if busy_seconds() - before <= QUIET_CORES * LOOK_S:
            return


class Sample(NamedTuple):
    """Tokens per second, and how many cores other programs took meanwhile."""

    rate: float
    others: float


class Meter:
    """Counts tokens of several streams over one and the same span of time."""

    def __init__(self, session: aiohttp.ClientSession, window_s: float) -> None:
        self._session = session
        self._window_s = window_s

    async def quiet(
        self, engines: Sequence[Engine], *, turns: bool = False, foreign: bool = False
    ) -> Sample:
        """The quietest of a few attempts, the first that is quiet enough."""
        samples = []
        for _ in range(ATTEMPTS):
            await calm()
            samples.append(await self.sample(engines, turns=turns, foreign=foreign))
            if samples[-1].others <= QUIET_CORES:
                break
        return min(samples, key=lambda sample: sample.others)

    async def sample(self, engines: Sequence[Engine], *, turns: bool, foreign: bool) -> Sample:
        """All engines together, from when each has given its first token."""
        arbiter = Turns(TURN_S if turns else 0, SystemClock())
        counts = [0] * len(engines)
        with foreign_load(foreign) as busy:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(arbiter.run())]
                for index, one in enumerate(engines):
                    arbiter.enter(one)
                    tasks.append(group.create_task(self._count(one, counts, index)))
                pids = [os.getpid(), *busy, *(one.pid for one in engines if one.pid)]
                sample = await self._window(counts, pids)
                for task in tasks:
                    task.cancel()
        return sample

    async def _count(self, one: Engine, counts: list[int], index: int) -> None:
        async for _ in tokens(one, self._session):
            counts[index] += 1

    async def _window(self, counts: list[int], pids: Sequence[int]) -> Sample:
        given_up = time.monotonic() + FIRST_TOKEN_S
        while not all(counts) and time.monotonic() < given_up:  # noqa: ASYNC110 (polled by design)
            await asyncio.sleep(0.005)
        before, since = sum(counts), time.monotonic()
        busy, own = busy_seconds(), own_seconds(pids)
        await asyncio.sleep(self._window_s)
        lasted = time.monotonic() - since
        others = (busy_seconds() - busy) - (own_seconds(pids) - own)
        return Sample((sum(counts) - before) / lasted, max(0.0, others / lasted))


async def measure(
    model: Servable, *, pairs: int, window_s: float, spins: Sequence[int]
) -> tuple[Rates, Rates]:
    """Tokens per second of every case, one figure a pair, and what other programs took."""
    rates: Rates = {}
    others: Rates = {}
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        )
        meter = Meter(session, window_s)
        engines = {
            count: [
                await stack.enter_async_context(engine(model, {"GOMP_SPINCOUNT": str(count)}))
                for _ in range(2)
            ]
            for count in spins
        }
        for pair in range(pairs):
            # Every other pair runs backwards: a machine that slows down hurts no case twice.
            for count in spins if pair % 2 == 0 else reversed(spins):
                for case, sample in (await _cases(meter, engines[count])).items():
                    rates.setdefault(f"{count} {case}", []).append(sample.rate)
                    others.setdefault(f"{count} {case}", []).append(sample.others)
            print(f"pair {pair + 1} of {pairs}", file=sys.stderr, flush=True)
    return rates, others


async def _cases(meter: Meter, both: Sequence[Engine]) -> dict[str, Sample]:
    return {
        "alone": await meter.quiet(both[:1]),
        "two": await meter.quiet(both),
        "two+turns": await meter.quiet(both, turns=True),
        "foreign": await meter.quiet(both[:1], foreign=True),
    }


def ratios(rates: Rates, over: str, under: str) -> list[float]:
    return [a / b for a, b in zip(rates[over], rates[under], strict=True) if b]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, middle, high = (
        statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    )
    return {"median": round(middle, 3), "low": round(low, 3), "high": round(high, 3)}


def report(rates: Rates, others: Rates, spins: Sequence[int]) -> dict[str, object]:
    ours = GOMP_SPIN_ROUNDS
    figures = {
        "serve.two_models_ratio": ratios(rates, f"{ours} two+turns", f"{ours} alone"),
        "serve.foreign_load_ratio": ratios(rates, f"{ours} foreign", f"{ours} alone"),
        "serve.alone_ratio": ratios(rates, f"{ours} alone", f"{DEFAULT_SPINS} alone"),
    }
    spreads = {name: spread(values) for name, values in figures.items()}
    return {
        "figures": {name: values["median"] for name, values in spreads.items()},
        "spread": spreads,
        "tokens_per_second": {case: spread(values) for case, values in rates.items()},
        "spin_counts": list(spins),
        "turn_s": TURN_S,
        "raw": rates,
        "others_cores": others,
    }


def table(rates: Rates, spins: Sequence[int]) -> str:
    cases = ("alone", "two", "two+turns", "foreign")
    lines = [f"| spins | {' | '.join(cases)} |", "|" + "---|" * 5]
    for count in spins:
        cells = []
        for case in cases:
            figure = spread(rates[f"{count} {case}"])
            cells.append(f"{figure['median']:.1f} ({figure['low']:.1f}–{figure['high']:.1f})")
        lines.append(f"| {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, required=True, help="where the figures go")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--window", type=float, default=2.0, help="seconds per case")
    parser.add_argument("--sweep", action="store_true", help="try more spin counts")
    parser.add_argument("--spins", type=int, nargs="*", default=(), help="and these")
    parser.add_argument("--model", default="smollm2:135m", help="an installed model")
    parser.add_argument("--file", type=Path, help="a GGUF file instead of an installed model")
    args = parser.parse_args()
    installed = None if args.file else Store.from_config(config.load()).resolve(args.model)
    model = installed or file_model(args.file)
    swept = (*args.spins, *(SWEEP if args.sweep else ()))
    counts = {DEFAULT_SPINS, PASSIVE_SPINS, GOMP_SPIN_ROUNDS, *swept}
    spins = sorted(counts, reverse=True)
    rates, others = asyncio.run(measure(model, pairs=args.pairs, window_s=args.window, spins=spins))
    args.json.write_text(json.dumps(report(rates, others, spins), indent=2))
    print(table(rates, spins))


if __name__ == "__main__":
    main()
