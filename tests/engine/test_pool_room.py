"""Several models that compete for memory: eviction, fairness, and what must always hold."""

from __future__ import annotations

import asyncio
import random

import pytest

from reshore.engine.residency import PATIENCE_S
from reshore.engine.turns import Turns
from reshore.errors import OutOfMemory, ReshoreError
from reshore.testing import MIB, FakeLauncher, MovableClock, settle
from tests.engine.test_pool import A, B, Bench, C, running, settings
from tests.engine.test_turns import Signals


async def test_several_models_live_together_when_there_is_room() -> None:
    async with running() as bench:
        for model in (A, B, C):
            await bench.hold(model)
        assert bench.names() == ["a", "b", "c"]


async def test_the_least_recently_used_idle_model_makes_room() -> None:
    async with running(config=settings(max_loaded=2)) as bench:
        for model in (A, B, A, C):
            await bench.clock.advance(1)
            await bench.hold(model)
        assert bench.names() == ["a", "c"]
        assert bench.launcher.most_alive == 2


async def test_memory_evicts_as_the_limit_does() -> None:
    launcher = FakeLauncher(total_bytes=10 * MIB, default_bytes=4 * MIB, slots=1)
    async with running(launcher) as bench:
        for model in (A, B, C):
            await bench.clock.advance(1)
            await bench.hold(model)
        assert bench.names() == ["b", "c"]


async def test_an_engine_that_is_still_loading_has_its_memory_reserved() -> None:
    launcher = FakeLauncher(total_bytes=10 * MIB, default_bytes=6 * MIB, slots=1)
    launcher.held["a"] = asyncio.Event()
    async with running(launcher) as bench:
        first, second = bench.hold(A), bench.hold(B)
        await settle()
        assert bench.names() == ["a"]
        launcher.held["a"].set()
        await asyncio.gather(first, second)
        assert launcher.most_alive == 1


async def test_only_the_configured_share_of_memory_is_used() -> None:
    launcher = FakeLauncher(total_bytes=10 * MIB, default_bytes=6 * MIB, slots=1)
    async with running(launcher, settings(fraction=0.5)) as bench:
        with pytest.raises(OutOfMemory):
            await bench.hold(A)


async def test_memory_that_engines_only_map_is_not_given_away_twice() -> None:
    """Mapped weights do not show in the free memory; they count all the same."""

    class Mapped(FakeLauncher):
        def free_bytes(self) -> int:
            return 10 * MIB

    launcher = Mapped(default_bytes=6 * MIB, slots=1)
    async with running(launcher) as bench:
        await bench.hold(A)
        await bench.hold(B)
        assert launcher.most_alive == 1


async def test_a_busy_model_is_never_evicted() -> None:
    async with running(config=settings(max_loaded=1)) as bench:
        end = asyncio.Event()
        busy = bench.hold(A, end)
        await settle()
        waits = bench.hold(B)
        await bench.clock.advance(10 * PATIENCE_S)
        assert not waits.done()
        assert len(bench.launcher.alive()) == 1
        end.set()
        await asyncio.gather(busy, waits)
        assert bench.launcher.most_alive == 1


async def test_two_models_that_both_wait_are_served_in_their_order() -> None:
    async with running(config=settings(max_loaded=1)) as bench:
        end = asyncio.Event()
        busy = bench.hold(A, end)
        await settle()
        waits = [bench.hold(model) for model in (B, C, B)]
        await settle()
        end.set()
        await asyncio.gather(busy, *waits)
        assert [engine.model.name for engine in bench.launcher.engines] == ["a", "b", "c"]


async def test_a_model_that_is_always_busy_cannot_starve_another() -> None:
    async with running(config=settings(max_loaded=1)) as bench:
        ends = [asyncio.Event(), asyncio.Event()]
        first = bench.hold(A, ends[0])
        await settle()
        waits = bench.hold(B)
        await settle()
        second = bench.hold(A, ends[1])
        await settle()
        ends[0].set()
        await first
        assert not second.done()
        await bench.clock.advance(PATIENCE_S)
        late = bench.hold(A)
        await settle()
        assert not late.done()
        ends[1].set()
        await asyncio.gather(second, waits, late)
        assert [engine.model.name for engine in bench.launcher.engines] == ["a", "b", "a"]
        assert bench.launcher.most_alive == 1


async def test_cancelling_the_first_in_line_for_room_lets_the_next_one_in() -> None:
    launcher = FakeLauncher(total_bytes=10 * MIB, need_bytes={"b": 9 * MIB}, slots=1)
    async with running(launcher) as bench:
        end = asyncio.Event()
        busy = bench.hold(A, end, keep_alive_s=-1)
        await settle()
        big = bench.hold(B)
        await settle()
        await bench.hold(C, keep_alive_s=0)
        small = bench.hold(C)
        await settle()
        big.cancel()
        await small
        end.set()
        await busy


async def test_engines_on_a_gpu_take_no_turns() -> None:
    signals, clock = Signals(), MovableClock()
    launcher = FakeLauncher(gpu_layers=99)
    bench = Bench(launcher, settings())
    bench.pool = type(bench.pool)(
        launcher, settings(), clock=clock, turns=Turns(0.15, clock, signaller=signals)
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.pool.run())
        end = asyncio.Event()
        tasks = [bench.hold(model, end) for model in (A, B)]
        await settle()
        await clock.advance(1)
        assert signals.log == []
        end.set()
        await asyncio.gather(*tasks)
        await bench.pool.aclose()


async def test_two_busy_models_take_turns_and_end_unpaused() -> None:
    signals, clock = Signals(), MovableClock()
    launcher = FakeLauncher()
    bench = Bench(launcher, settings())
    bench.pool = type(bench.pool)(
        launcher, settings(), clock=clock, turns=Turns(0.15, clock, signaller=signals)
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.pool.run())
        end = asyncio.Event()
        tasks = [bench.hold(model, end) for model in (A, B)]
        await settle()
        assert len(signals.paused) == 1
        before = set(signals.paused)
        await clock.advance(0.15)
        assert len(signals.paused) == 1
        assert signals.paused != before
        launcher.engines[0].crash()
        await settle()
        assert launcher.engines[1].pid not in signals.paused
        end.set()
        await asyncio.gather(*tasks)
        await bench.pool.aclose()


@pytest.mark.parametrize("seed", range(4))
async def test_fifty_concurrent_loads_and_unloads_of_three_models_in_one_place(seed: int) -> None:
    """Drill 14: no deadlock, never two engines at once, every request answered."""
    chance = random.Random(seed)
    async with running(config=settings(max_loaded=1, keep_alive=1)) as bench:

        async def one() -> str:
            model = chance.choice((A, B, C))
            if chance.random() < 0.2:
                await bench.pool.unload(model.name)
                return "unloaded"
            keep = chance.choice((None, 0, 2, -1))
            try:
                lease_of = bench.pool.lease(model, weight=chance.randint(1, 3), keep_alive_s=keep)
                async with lease_of as lease:
                    assert lease.engine.model is model
                    await bench.clock.sleep(chance.random() * 3)
                    if chance.random() < 0.05:
                        bench.launcher.alive()[0].crash()
            except ReshoreError as error:
                return type(error).__name__
            return "answered"

        tasks = [asyncio.create_task(one()) for _ in range(50)]
        for victim in chance.sample(tasks, 5):
            await settle()
            victim.cancel()
        for _ in range(400):
            await bench.clock.advance(0.5)
        assert all(task.done() for task in tasks)
        outcomes = {task.result() for task in tasks if not task.cancelled()}
        assert outcomes <= {"answered", "unloaded", "StartFailed"}
        assert bench.launcher.most_alive == 1
