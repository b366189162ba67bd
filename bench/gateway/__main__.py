"""The gateway beside its peers, measured under the same load in one run.

    python -m bench.gateway --json OUT [--peers litellm,portkey,none] [--quick]

LiteLLM's proxy and Portkey's gateway are installed below the user's cache folder at the first run,
which takes minutes; a peer that cannot be installed or started has null figures, and the run goes
on. What is measured and how is in docs/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from bench.gateway import comparing, operating
from bench.gateway.comparing import Samples, say
from bench.gateway.contestants import (
    LITELLM,
    MODEL,
    PORTKEY,
    Contestant,
    Cores,
    Starter,
    bare,
    direct,
    gateway,
    litellm,
    portkey,
)
from bench.gateway.figures import NOTES, PEERS, TARGETS, asked, comparison, name_of
from bench.machine import facts, others_noted
from bench.serve import QUIET_CORES
from bench.servers import Homes, Server, rehearsal
from bench.stats import Figure, figure, table

STARTS = 3


async def measure(
    homes: Homes, scratch: Path, peers: Sequence[str], failures: dict[str, str], *, quick: bool
) -> Samples:
    """Samples of every figure. What peers failed at is added to `failures`.

    Raises:
        SystemExit: one of our servers did not start.
        Failed: a request to one of our servers failed.
    """
    samples: Samples = defaultdict(list)
    cores = Cores()
    cores.keep_load()
    async with rehearsal() as upstream:
        starters = _starters(homes, scratch, upstream, peers)
        await _start_often(starters, samples, failures, times=1 if quick else STARTS)
        async with _all(starters, failures) as proxies:
            for one in proxies:
                cores.measure(one)
            effort = comparing.QUICK if quick else comparing.Effort()
            await comparing.compare([direct(upstream), *proxies], effort, samples, failures)
        operations = operating.QUICK if quick else operating.Effort()
        await operating.operate(homes, upstream, cores, operations, samples)
    return samples


def _starters(
    homes: Homes, scratch: Path, upstream: Server, peers: Sequence[str]
) -> dict[str, Starter]:
    starters: dict[str, Starter] = {
        "pass_through": lambda: bare(upstream),
        "gateway": lambda: gateway(homes, {"stub": upstream.url}, {MODEL: "cloud"}),
        "litellm": lambda: litellm(upstream, scratch),
        "portkey": lambda: portkey(upstream),
    }
    return {name: start for name, start in starters.items() if name not in PEERS or name in peers}


async def _start_often(
    starters: dict[str, Starter], samples: Samples, failures: dict[str, str], *, times: int
) -> None:
    """Measure the start of each, alone."""
    for name, start in starters.items():
        for _ in range(times):
            async with AsyncExitStack() as stack:
                one = await _entered(stack, name, start, failures)
                if one is None:
                    break
                samples[name_of(name, "ready_s")].append(one.server.ready_s)


@asynccontextmanager
async def _all(
    starters: dict[str, Starter], failures: dict[str, str]
) -> AsyncIterator[list[Contestant]]:
    """All that can be started, at once."""
    async with AsyncExitStack() as stack:
        entered = [await _entered(stack, name, start, failures) for name, start in starters.items()]
        yield [one for one in entered if one is not None]


async def _entered(
    stack: AsyncExitStack, name: str, start: Starter, failures: dict[str, str]
) -> Contestant | None:
    """A running contestant; None for a peer that cannot be had, now or before."""
    failed = f"{name}: start"
    if failed in failures:
        return None
    try:
        return await stack.enter_async_context(start())
    except (OSError, SystemExit) as error:
        if name not in PEERS:
            raise
        failures[failed] = str(error)
        say(f"{failed}: {error}")
        return None


def figures_of(samples: Samples) -> list[Figure]:
    """Medians with quartiles, targets and notes."""
    return [
        figure(name, values, targets=TARGETS, notes=NOTES)
        for name, values in samples.items()
        if values
    ]


def report(
    known: Iterable[Figure], failures: dict[str, str], about: dict[str, Any]
) -> dict[str, Any]:
    """The JSON: `figures` are the medians, null where there are none; `detail` has the rest."""
    found = list(known)
    return {
        "figures": asked(found),
        "detail": {one.name: one.as_json() for one in found},
        "missed": [one.name for one in found if one.met is False],
        "failures": failures,
        "machine": about,
    }


def _peers(text: str) -> list[str]:
    names = [name for name in text.split(",") if name != "none"]
    unknown = set(names) - set(PEERS)
    if unknown:
        raise argparse.ArgumentTypeError(f"no such peer: {', '.join(sorted(unknown))}")
    return names


def _raise_file_limit() -> None:
    """Let this process and what it starts hold ten thousand connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, required=True, help="where the report goes")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, shorter")
    parser.add_argument(
        "--peers", type=_peers, default=list(PEERS), help="litellm, portkey, both, or none"
    )
    args = parser.parse_args()
    _raise_file_limit()
    others: dict[str, float] = {}
    failures: dict[str, str] = {}
    about = facts() | {"others_cores": others, "litellm": LITELLM, "portkey": PORTKEY}
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="reshore-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        others_noted(others, "gateway"),
    ):
        scratch = Path(folder)
        homes = Homes(scratch / "store", scratch)
        samples = runner.run(measure(homes, scratch, args.peers, failures, quick=args.quick))
    about["took_s"] = round(time.monotonic() - started)
    known = figures_of(samples)
    args.json.write_text(json.dumps(report(known, failures, about), indent=2), encoding="utf-8")
    ours = [one for one in known if one.name in TARGETS or one.name in NOTES]
    print(comparison(samples), table(ours, TARGETS), sep="\n\n")
    print(f"\n{about['cores']} cores, {about['cpu']}; took {about['took_s']} s")
    for what, why in failures.items():
        print(f"{what}: {why}")
    if others["gateway"] > QUIET_CORES:
        print(f"other programs took {others['gateway']:.1f} cores; measure again when they rest")


if __name__ == "__main__":
    main()
