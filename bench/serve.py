"""What the server costs, measured beside the bare engine in one run.

    python -m bench.serve --json OUT [--quick] [--only real|scripted|turns]

Needs the starter models: it takes them from RESHORE_HOME, or else keeps a store of its own under
the user's cache folder, and pulls what is missing. Every figure is a median with its quartiles and
is held against the target that docs/performance.md explains. `--quick` measures the same with
fewer repetitions: good for seeing a regression, too few for the record.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import uvloop

from bench import real, scripted, turns
from bench.machine import facts, others_noted
from bench.servers import CHAT_MODEL, EMBEDDING_MODEL, Homes
from bench.stats import Figure, figure, table
from reshore.engine.waiting import GOMP_SPIN_ROUNDS
from reshore.models.store import Store

QUIET_CORES = 0.15
_PARTS = ("scripted", "real", "turns")


async def measure(
    homes: Homes, parts: Iterable[str], others: dict[str, float], *, quick: bool
) -> list[Figure]:
    """All figures of these parts.

    Args:
        others: gets the cores that other programs took during each part.

    Raises:
        SystemExit: a model cannot be fetched, or a server does not start.
    """
    await homes.fetch((CHAT_MODEL, EMBEDDING_MODEL))
    samples: dict[str, list[float]] = {}
    for part in parts:
        with others_noted(others, part):
            samples |= await _part(homes, part, quick=quick)
        _say(f"{part}: done; other programs took {others[part]:.2f} cores meanwhile")
    return [figure(name, values) for name, values in samples.items()]


async def _part(homes: Homes, part: str, *, quick: bool) -> dict[str, list[float]]:
    if part == "scripted":
        return await scripted.measure(homes, scripted.QUICK if quick else scripted.Effort())
    if part == "real":
        return await real.measure(homes, real.QUICK if quick else real.Effort())
    return await _turns(homes, pairs=2 if quick else 15)


async def _turns(homes: Homes, *, pairs: int) -> dict[str, list[float]]:
    """Two models at once, and one beside a busy program; `bench.turns` has the whole picture."""
    model = Store.from_config(homes.config({})).resolve(CHAT_MODEL)
    ours = GOMP_SPIN_ROUNDS
    rates, _ = await turns.measure(model, pairs=pairs, window_s=1.5, spins=(ours,))
    return {
        "serve.two_models_ratio": turns.ratios(rates, f"{ours} two+turns", f"{ours} alone"),
        "serve.foreign_load_ratio": turns.ratios(rates, f"{ours} foreign", f"{ours} alone"),
    }


def report(figures: Iterable[Figure], about: dict[str, Any]) -> dict[str, Any]:
    """The JSON: `figures` are the medians, `detail` says how they came about."""
    known = list(figures)
    return {
        "figures": {one.name: round(one.median, 4) for one in known if one.target},
        "detail": {one.name: one.as_json() for one in known},
        "missed": [one.name for one in known if one.met is False],
        "machine": about,
    }


def store_home() -> Path:
    """Where the models are: RESHORE_HOME, or a store that only benches use."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(os.environ.get("RESHORE_HOME") or cache / "reshore-bench").expanduser()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, required=True, help="where the report goes")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--only", choices=_PARTS, action="append", help="only this (repeatable)")
    args = parser.parse_args()
    others: dict[str, float] = {}
    about = facts() | {"others_cores": others}
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="reshore-") as scratch,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        homes = Homes(store_home(), Path(scratch))
        figures = runner.run(measure(homes, args.only or _PARTS, others, quick=args.quick))
    about["took_s"] = round(time.monotonic() - started)
    args.json.write_text(json.dumps(report(figures, about), indent=2), encoding="utf-8")
    print(table(figures))
    print(f"\n{about['cores']} cores, {about['cpu']}; took {about['took_s']} s")
    for part, cores in others.items():
        if cores > QUIET_CORES:
            print(f"{part}: other programs took {cores:.1f} cores; measure again when they rest")


if __name__ == "__main__":
    main()
