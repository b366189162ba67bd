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
import platform
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import uvloop

from bench import real, scripted, turns
from bench.servers import CHAT_MODEL, EMBEDDING_MODEL, Homes
from bench.stats import Figure, figure, table
from reshore.engine.waiting import GOMP_SPIN_ROUNDS
from reshore.models.store import Store

_PACKAGES = ("reshore", "xllamacpp", "aiohttp", "uvicorn", "uvloop", "httptools", "msgspec")
_PARTS = ("scripted", "real", "turns")


async def measure(homes: Homes, parts: Iterable[str], *, quick: bool) -> list[Figure]:
    """All figures of these parts.

    Raises:
        SystemExit: a model cannot be fetched, or a server does not start.
    """
    await homes.fetch((CHAT_MODEL, EMBEDDING_MODEL))
    samples: dict[str, list[float]] = {}
    for part in parts:
        _say(f"{part} …")
        if part == "scripted":
            effort = scripted.QUICK if quick else scripted.Effort()
            samples |= await scripted.measure(homes, effort)
        elif part == "real":
            samples |= await real.measure(homes, real.QUICK if quick else real.Effort())
        else:
            samples |= await _turns(homes, pairs=3 if quick else 15)
    return [figure(name, values) for name, values in samples.items()]


async def _turns(homes: Homes, *, pairs: int) -> dict[str, list[float]]:
    """Two models at once, and one beside a busy program; `bench.turns` has the whole picture."""
    path = Store.from_config(homes.config({})).resolve(CHAT_MODEL).model_path
    ours = GOMP_SPIN_ROUNDS
    rates, _ = await turns.measure(path, pairs=pairs, window_s=1.5, spins=(ours,))
    return {
        "serve.two_models_ratio": turns.ratios(rates, f"{ours} two+turns", f"{ours} alone"),
        "serve.foreign_load_ratio": turns.ratios(rates, f"{ours} foreign", f"{ours} alone"),
    }


def machine() -> dict[str, Any]:
    """What the figures depend on besides us."""
    return {
        "cpu": _cpu_model(),
        "cores": len(psutil.Process().cpu_affinity() or ()),
        "memory_mb": psutil.virtual_memory().total >> 20,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
        "load_average": os.getloadavg(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")


def report(figures: Iterable[Figure], facts: dict[str, Any]) -> dict[str, Any]:
    """The JSON: `figures` are the medians, `detail` says how they came about."""
    known = list(figures)
    return {
        "figures": {one.name: round(one.median, 4) for one in known if one.target},
        "detail": {one.name: one.as_json() for one in known},
        "missed": [one.name for one in known if one.met is False],
        "machine": facts,
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
    facts = machine()
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="reshore-") as scratch,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        homes = Homes(store_home(), Path(scratch))
        figures = runner.run(measure(homes, args.only or _PARTS, quick=args.quick))
    facts["took_s"] = round(time.monotonic() - started)
    args.json.write_text(json.dumps(report(figures, facts), indent=2), encoding="utf-8")
    print(table(figures))
    print(f"\n{facts['cores']} cores, {facts['cpu']}; took {facts['took_s']} s")


if __name__ == "__main__":
    main()
