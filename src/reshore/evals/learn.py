"""Training a router from pairs, in a process of its own."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Sequence
from importlib.util import find_spec

import msgspec
from msgspec import Struct, structs

from reshore.errors import LearnError
from reshore.evals.calibration import Goal, calibrate
from reshore.evals.pairs import Pair
from reshore.routing.content import Content, Turn
from reshore.routing.learned import LearnedModel, LearnedRouter, Reads

# Fewer say nothing, whatever comes out.
LEAST_PAIRS = 100
_HELD_BACK = 0.3


class _Job(Struct, frozen=True, kw_only=True):
    """As `fitting.Job`, whose module cannot be imported without the extra."""

    pairs: tuple[Pair, ...]
    reads: Reads


async def learn(
    pairs: Sequence[Pair],
    *,
    reads: Reads = "prompt",
    goal: Goal | None = None,
) -> LearnedModel:
    """Train a router; with a goal, three tenths of the pairs are held back to set its threshold.

    Takes seconds for some thousand pairs. Cancelling it ends the process.

    Args:
        goal: what the threshold is to achieve; it speaks of requests that are like those of the
            training, for the others go by the rules.

    Raises:
        LearnError: too few pairs, the extra `learn` is not installed, or the training failed.
    """
    if len(pairs) < LEAST_PAIRS:
        raise LearnError(
            f"A router cannot learn from {len(pairs)} pairs; collect at least {LEAST_PAIRS} with "
            "`shadow` or a comparison."
        )
    if find_spec("sklearn") is None:
        raise LearnError(
            "Training needs scikit-learn, which is not installed: pip install 'reshore[learn]'."
        )
    if goal is None:
        return await _fit(pairs, reads)
    kept, held_back = _parted(pairs)
    model = await _fit(kept, reads)
    router = LearnedRouter(model)
    judged = [
        (router.judge(Content(turns=(Turn("user", pair.prompt),)), pair.answer), pair)
        for pair in held_back
    ]
    inside = [(said.score, pair) for said, pair in judged if not said.outside]
    calibration = calibrate(goal, [score for score, _ in inside], [pair for _, pair in inside])
    return structs.replace(model, calibration=calibration)


async def _fit(pairs: Sequence[Pair], reads: Reads) -> LearnedModel:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reshore.evals.fitting"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    job = _Job(pairs=tuple(pairs), reads=reads)
    try:
        out, said = await process.communicate(msgspec.msgpack.encode(job))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise LearnError(f"The training of a router on {len(pairs)} pairs failed: {last}")
    return msgspec.json.decode(out, type=LearnedModel)


def _parted(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """What is trained on and what is held back; no key is in both."""
    keys = sorted({pair.key or f"\0{at}" for at, pair in enumerate(pairs)})
    random.Random(1).shuffle(keys)
    held = frozenset(keys[: round(len(keys) * _HELD_BACK)])
    parts: tuple[list[Pair], list[Pair]] = ([], [])
    for at, pair in enumerate(pairs):
        parts[(pair.key or f"\0{at}") in held].append(pair)
    return parts
