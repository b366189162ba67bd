"""Programs that work on model files, each in a process of its own that ends with its caller."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from reshore.errors import BadModelFile

_KEPT_BYTES = 1 << 16  # of what it wrote to stderr


async def run_program(
    argv: Sequence[str], *, what: str, environment: Mapping[str, str] | None = None
) -> None:
    """Run a program to its end. Cancellation kills it and waits until it is gone.

    Args:
        what: what it does, for the message (`converting tiny`).
        environment: further variables; ours (`RESHORE_*`) are not handed on.

    Raises:
        BadModelFile: it failed; carries the last line of what it said.
    """
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("RESHORE_")}
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=inherited | dict(environment or {}),
    )
    try:
        said = await _last_words(process)
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0:
        lines = said.decode("utf-8", "replace").strip().splitlines()
        raise BadModelFile(f"{what} failed: {(lines or ['it ended without a word'])[-1][:500]}")


def exit_code(work: Callable[[], None]) -> int:
    """What a program of ours ends with after its work: 1 and one line on stderr if it failed."""
    try:
        work()
    except BadModelFile as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _last_words(process: asyncio.subprocess.Process) -> bytes:
    """What it writes to stderr until it closes it, the end of it."""
    assert process.stderr is not None
    said = b""
    while piece := await process.stderr.read(_KEPT_BYTES):
        said = (said + piece)[-_KEPT_BYTES:]
    return said
