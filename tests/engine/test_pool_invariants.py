"""Whatever happens in whatever order, the pool keeps its promises."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from reshore.engine.base import State
from reshore.engine.pool import Lease
from reshore.testing import MIB, FakeLauncher, fake_model, settle
from tests.engine.test_pool import Bench, running
from tests.engine.test_pool import settings as pool_settings

MODELS = [fake_model(name) for name in ("a", "b", "c")]
MODELS.append(fake_model("a", digest="e" * 64))
MODELS.append(fake_model("d", file=MODELS[0].model_path.name))
TOTAL_BYTES = 10 * MIB

which = st.integers(0, 20)
operations = st.lists(
    st.one_of(
        st.tuples(
            st.just("ask"), st.integers(0, 4), st.integers(1, 3), st.sampled_from((None, 0, 5))
        ),
        st.tuples(st.just("end"), which),
        st.tuples(st.just("cancel"), which),
        st.tuples(st.just("crash"), which),
        st.tuples(st.just("unload"), st.sampled_from("abcd")),
        st.tuples(st.just("forget"), st.sampled_from("abcd")),
        st.tuples(st.just("wait"), st.sampled_from((0.1, 2.0, 6.0, 70.0))),
        st.tuples(st.just("step")),
    ),
    max_size=40,
)


class Story:
    """Plays operations on a pool and checks the promises after each."""

    def __init__(self, bench: Bench, limit: int) -> None:
        self.bench = bench
        self.limit = limit
        self.asked: list[tuple[asyncio.Task[Lease], asyncio.Event]] = []
        self.others: list[asyncio.Task[bool] | asyncio.Task[None]] = []

    async def play(self, operation: tuple[object, ...]) -> None:
        match operation:
            case ("ask", int(index), int(weight), keep_alive_s):
                end = asyncio.Event()
                task = self.bench.hold(
                    MODELS[index],
                    end,
                    weight=weight,
                    keep_alive_s=keep_alive_s,  # type: ignore[arg-type]
                )
                self.asked.append((task, end))
            case ("end", int(index)) if self.asked:
                self.asked[index % len(self.asked)][1].set()
            case ("cancel", int(index)) if self.asked:
                self.asked[index % len(self.asked)][0].cancel()
            case ("crash", int(index)):
                ready = [e for e in self.bench.launcher.engines if e.state is State.READY]
                if ready:
                    ready[index % len(ready)].crash()
            case ("unload", str(name)):
                self.others.append(asyncio.create_task(self.bench.pool.unload(name)))
            case ("forget", str(name)):
                self.others.append(asyncio.create_task(self.bench.pool.forget(name)))
            case ("wait", float(seconds)):
                await self.bench.clock.advance(seconds)
            case ("step",):
                await asyncio.sleep(0)
        self.check()

    def check(self) -> None:
        launcher = self.bench.launcher
        assert launcher.free_bytes() >= 0
        assert not self.limit or launcher.most_alive <= self.limit
        for shown in self.bench.pool.loaded():
            assert 0 <= shown.in_flight <= shown.slots

    async def finish(self) -> None:
        """Every request ends once the others let it, and nothing stays behind."""
        for _, end in self.asked:
            end.set()
        for _ in range(20):
            await self.bench.clock.advance(10)
        assert all(task.done() for task, _ in self.asked)
        assert all(task.done() for task in self.others)
        await self.bench.clock.advance(400)
        assert self.bench.pool.loaded() == ()


@given(story=operations, limit=st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_the_promises_hold_in_any_order_of_events(
    story: list[tuple[object, ...]], limit: int
) -> None:
    async def tell() -> None:
        launcher = FakeLauncher(total_bytes=TOTAL_BYTES, default_bytes=3 * MIB)
        async with running(launcher, pool_settings(max_loaded=limit)) as bench:
            told = Story(bench, limit)
            for operation in story:
                await told.play(operation)
            await told.finish()
            await settle()

    asyncio.run(tell())
