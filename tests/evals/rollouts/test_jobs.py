"""Work that is asked of a task."""

from __future__ import annotations

import asyncio

import pytest

from reshore.errors import ShuttingDown
from reshore.evals.rollouts.jobs import Jobs
from reshore.testing import settle


def working(done: list[int], number: int, error: Exception | None = None):
    async def work() -> int:
        done.append(number)
        if error is not None:
            raise error
        return number

    return work


async def test_work_is_done_in_order_and_whoever_asked_is_told() -> None:
    done: list[int] = []
    woken: list[int] = []
    jobs: Jobs[int] = Jobs(lambda: woken.append(1))
    asked = [
        asyncio.create_task(jobs.ask(working(done, 1))),
        asyncio.create_task(jobs.ask(working(done, 2, KeyError("no")))),
        asyncio.create_task(jobs.ask(working(done, 3))),
    ]
    await settle()
    assert (bool(jobs), len(woken), done) == (True, 3, [])
    asked[2].cancel()
    await settle()
    await jobs.do()
    assert (bool(jobs), done) == (False, [1, 2, 3])
    assert await asked[0] == 1
    with pytest.raises(KeyError):
        await asked[1]


async def test_when_it_closes_everybody_is_told() -> None:
    jobs: Jobs[int] = Jobs(lambda: None)
    asked = asyncio.create_task(jobs.ask(working([], 1)))
    await settle()
    jobs.close()
    with pytest.raises(ShuttingDown):
        await asked
    with pytest.raises(ShuttingDown):
        await jobs.ask(working([], 2))
