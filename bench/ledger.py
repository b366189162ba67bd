"""What the ledger costs: `python -m bench.ledger [--json OUT] [--requests N] [--url postgresql://…]`.

Requests arrive at a constant rate, as a gateway's would, with one attempt each, every tenth with a
fallback and every tenth with a shadow. `record_us` is the wall time that the event loop's thread
spends per request, `cpu_us` the CPU of the whole process per request beyond that of the loop that
offers them: the writer's thread, rows, prices and commits included. `rows_per_s` is what the writer
stores when it has nothing to wait for, and `rss_mb` what the ledger adds to the process.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.machine import facts
from reshore.clock import SystemClock
from reshore.config import Config, load
from reshore.ledger.ledger import Ledger, open_ledger
from reshore.types import Attempt, Decision, Outcome, Target, Usage

RATE = 500.0
_CLOUD = Target(side="cloud", backend="openai", model="gpt-4o-mini")
_LOCAL = Target(side="local", backend="local", model="qwen2.5:7b")


def main() -> int:
    parser = argparse.ArgumentParser(description="What the ledger costs per request.")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--requests", type=int, default=5000, help="at a constant rate")
    parser.add_argument("--burst", type=int, default=50_000, help="all at once")
    parser.add_argument("--url", default="", help="a PostgreSQL database instead of a file")
    options = parser.parse_args()
    figures = measure(options.requests, options.burst, options.url)
    for name, value in figures.items():
        print(f"{name:32} {value:12.2f}")
    if options.json:
        report = {"machine": facts(), "figures": figures}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def measure(requests: int, burst: int, url: str) -> dict[str, float]:
    """All figures, by their names."""
    steady, rest = outcomes(requests), outcomes(burst)
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        config = _config(Path(folder), url, queue=burst * 2)
        before = process.memory_info().rss
        with open_ledger(config, SystemClock()) as ledger:
            _settle(ledger)
            added_mb = (process.memory_info().rss - before) / 1e6
            idle = _pace(steady, None)
            busy = _pace(steady, ledger)
            started = time.perf_counter()
            written = ledger.counts.written
            for outcome in rest:
                ledger.record(outcome)
            while ledger.counts.written < written + burst:
                time.sleep(0.01)
            took_s = time.perf_counter() - started
        size = (Path(folder) / "ledger.db").stat().st_size if not url else 0
    return {
        "ledger.record_us": busy["wall_us"] - idle["wall_us"],
        "ledger.cpu_us": busy["cpu_us"] - idle["cpu_us"],
        "ledger.rows_per_s": burst / took_s,
        "ledger.rss_mb": added_mb,
        "ledger.bytes_per_request": size / (requests + burst),
    }


def _config(home: Path, url: str, *, queue: int) -> Config:
    (home / "reshore.toml").write_text("[upstreams.openai]\n")
    return load(
        env={"RESHORE_HOME": str(home), "RESHORE_LEDGER_URL": url},
        flags={"ledger.queue": queue},
    )


def _settle(ledger: Ledger) -> None:
    """The database is open and the price lists are loaded."""
    for outcome in outcomes(20):
        ledger.record(outcome)
    while ledger.counts.written < 20:
        time.sleep(0.01)


def _pace(offered: list[Outcome], ledger: Ledger | None) -> dict[str, float]:
    """Offer requests one by one at the rate, and see what it costs."""
    spent_s = 0.0
    cpu_s = time.process_time()
    started = time.perf_counter()
    for number, outcome in enumerate(offered):
        wait_s = started + number / RATE - time.perf_counter()
        if wait_s > 0:
            time.sleep(wait_s)
        begun = time.perf_counter()
        if ledger is not None:
            ledger.record(outcome)
            if number % 10 == 0:
                ledger.record_late(outcome.request_id, outcome.attempts[0])
        spent_s += time.perf_counter() - begun
    if ledger is not None:
        time.sleep(0.5)  # the last batch
    cpu_s = time.process_time() - cpu_s
    return {"wall_us": spent_s / len(offered) * 1e6, "cpu_us": cpu_s / len(offered) * 1e6}


def outcomes(number: int) -> list[Outcome]:
    """Requests as they come: a third answered locally, every tenth after a fallback."""
    made = time.time_ns()
    return [_outcome(f"req_{made:x}{each:08x}", each) for each in range(number)]


def _outcome(request_id: str, number: int) -> Outcome:
    usage = Usage(prompt_tokens=700 + number % 300, completion_tokens=90, cached_tokens=128)
    target = _LOCAL if number % 3 == 0 else _CLOUD
    answer = Attempt(
        role="primary", target=target, answered=True, status=200, usage=usage, total_ms=900.0
    )
    failed = Attempt(role="primary", target=_LOCAL, error="Overloaded", total_ms=2.0)
    return Outcome(
        request_id=request_id,
        method="POST",
        path="/v1/chat/completions",
        status=200,
        total_ms=903.2,
        stream=True,
        asked_model="gpt-4o-mini",
        model=target.model,
        key="0a1b2c3d",
        ttft_ms=210.4,
        usage=usage,
        decision=Decision(
            side=target.side,
            route="gpt-4o-mini",
            policy="split(local=33, cloud=67, sticky=user)",
            why="bucket 41 of 100 by user: cloud",
            version=12,
        ),
        attempts=(failed, answer) if number % 10 == 0 else (answer,),
        wall_s=time.time(),
    )


if __name__ == "__main__":
    sys.exit(main())
