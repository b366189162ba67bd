"""`reshore rehearse`: an upstream that fails as it is told."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from reshore.cli.failure import ExitCode, Failure
from reshore.cli.loop import new_event_loop
from reshore.cli.output import Json, note, print_json
from reshore.testing import (
    FAULTS,
    Scenario,
    Script,
    ScriptedUpstream,
    load_scenario,
    named_fault,
)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def command(
    fault: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"A status from 400 to 599, or: {', '.join(FAULTS)}."),
    ] = None,
    rate: Annotated[float, typer.Option(min=0, max=1, help="Share of requests that fail.")] = 1.0,
    after: Annotated[
        int | None, typer.Option(metavar="TOKENS", min=0, help="Fail after so many tokens.")
    ] = None,
    retry_after: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, help="The header of a refusal.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Answer this, and not what was asked.")] = None,
    tokens: Annotated[int | None, typer.Option(min=0, help="Length of the answers.")] = None,
    ttft_ms: Annotated[float, typer.Option(min=0, help="Pause before the first token.")] = 0,
    gap_ms: Annotated[float, typer.Option(min=0, help="Pause between tokens.")] = 0,
    scenario: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Faults in a row, from a TOML file.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Chooses which requests fail.")
    ] = None,
    port: Annotated[int, typer.Option(help="Where to listen on 127.0.0.1; 0: a free port.")] = 0,
    as_json: Json = False,
) -> None:
    """Be an upstream that fails as it is told, to rehearse what happens then; no model needed."""
    answers = {"text": text, "tokens": tokens, "ttft_ms": ttft_ms or None, "gap_ms": gap_ms or None}
    failures = {"rate": rate, "fault_after": after, "retry_after_s": retry_after}
    well = _changed(Script(), answers)
    script = _changed(named_fault(fault) if fault else Script(), {**answers, **failures})
    plan = Scenario(step=(script,))
    if scenario is not None:
        if script != Script():
            raise Failure(ExitCode.USAGE, "a scenario says itself what happens; leave the rest out")
        plan = load_scenario(scenario)
    if seed is not None:
        plan = msgspec.structs.replace(plan, seed=seed)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(plan, well, port, as_json=as_json))


def _changed(script: Script, wishes: Mapping[str, object]) -> Script:
    """`script` with what is wished for; None is no wish."""
    given = {name: value for name, value in wishes.items() if value is not None}
    return msgspec.structs.replace(script, **given)


async def _serve(scenario: Scenario, well: Script, port: int, *, as_json: bool) -> None:
    """Serve until a signal comes; `well` answers what does not fail."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopped.set)
    async with ScriptedUpstream(
        *scenario.step, otherwise=well, seed=scenario.seed, port=port, keep=0
    ) as upstream:
        if as_json:
            print_json({"url": upstream.url, "pid": os.getpid()})
        else:
            print(f'[upstreams.rehearsal]\nurl = "{upstream.url}"', flush=True)
        note("these lines are for reshore.toml; a route `cloud` then leads here (Ctrl-C stops it)")
        await stopped.wait()
        note(f"{upstream.asked} requests over {upstream.connections} connections")
