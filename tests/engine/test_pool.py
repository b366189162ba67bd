"""What a request may count on from the pool. Time is moved by hand, engines are fakes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from reshore.config import PoolConfig, Seconds
from reshore.engine.base import State
from reshore.engine.pool import Lease, Pool
from reshore.errors import OutOfMemory, Overloaded, ShuttingDown, StartFailed
from reshore.models.facts import Servable
from reshore.testing import MIB, FakeLauncher, MovableClock, fake_model, settle

A, B, C = fake_model("a"), fake_model("b"), fake_model("c")


def settings(
    *, keep_alive: float = 300, max_loaded: int = 0, max_queue: int = 512, fraction: float = 1.0
) -> PoolConfig:
    return PoolConfig(
        keep_alive=Seconds(keep_alive),
        max_loaded_models=max_loaded,
        max_queue=max_queue,
        memory_fraction=fraction,
    )


class Bench:
    """A running pool with everything a test wants to look at."""

    def __init__(self, launcher: FakeLauncher, config: PoolConfig) -> None:
        self.launcher = launcher
        self.clock = MovableClock()
        self.pool = Pool(launcher, config, clock=self.clock)
        self.tasks: list[asyncio.Task[Lease]] = []

    def hold(
        self,
        model: Servable,
        until: asyncio.Event | None = None,
        *,
        weight: int = 1,
        keep_alive_s: float | None = None,
    ) -> asyncio.Task[Lease]:
        """A request that keeps its lease until the event is set."""

        async def request() -> Lease:
            lease_of = self.pool.lease(model, weight=weight, keep_alive_s=keep_alive_s)
            async with lease_of as lease:
                if until is not None:
                    await until.wait()
                return lease

        task = asyncio.create_task(request())
        self.tasks.append(task)
        return task

    def names(self) -> list[str]:
        return sorted(one.name for one in self.pool.loaded())


@asynccontextmanager
async def running(
    launcher: FakeLauncher | None = None, config: PoolConfig | None = None
) -> AsyncIterator[Bench]:
    bench = Bench(launcher or FakeLauncher(), config or settings())
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.pool.run())
        await settle()
        yield bench
        await bench.pool.aclose()
    await asyncio.gather(*bench.tasks, return_exceptions=True)
    assert not bench.launcher.alive()


# ── loading ─────────────────────────────────────────────────────────────────────────────────────


async def test_concurrent_first_requests_share_one_load() -> None:
    async with running() as bench:
        leases = await asyncio.gather(*(bench.hold(A) for _ in range(20)))
        assert len(bench.launcher.engines) == 1
        assert {lease.engine for lease in leases} == {bench.launcher.engines[0]}


async def test_a_request_that_waits_for_a_load_learns_how_long_it_took() -> None:
    launcher = FakeLauncher()
    launcher.held["a"] = asyncio.Event()
    async with running(launcher) as bench:
        waiting = bench.hold(A)
        await bench.clock.advance(3)
        launcher.held["a"].set()
        lease = await waiting
        assert (lease.load_ms, lease.queued_ms) == (3000.0, 0.0)


async def test_the_caller_who_started_a_load_may_leave_without_harm_to_the_others() -> None:
    launcher = FakeLauncher()
    launcher.held["a"] = asyncio.Event()
    async with running(launcher) as bench:
        first, second = bench.hold(A), bench.hold(A)
        await settle()
        first.cancel()
        await settle()
        launcher.held["a"].set()
        assert (await second).engine is launcher.engines[0]
        assert len(launcher.engines) == 1


async def test_a_load_that_nobody_waits_for_is_cancelled() -> None:
    launcher = FakeLauncher()
    launcher.held["a"] = asyncio.Event()
    async with running(launcher) as bench:
        only = bench.hold(A)
        await settle()
        assert bench.names() == ["a"]
        only.cancel()
        await settle()
        assert bench.names() == []
        assert not launcher.alive()


async def test_a_request_during_a_cancelled_load_gets_a_new_engine() -> None:
    launcher = FakeLauncher()
    launcher.held["a"] = asyncio.Event()
    async with running(launcher) as bench:
        only = bench.hold(A)
        await settle()
        only.cancel()
        await asyncio.sleep(0)
        again = bench.hold(A)
        await settle()
        launcher.held["a"].set()
        assert (await again).engine is launcher.engines[-1]


async def test_a_failed_start_reaches_everybody_who_waited() -> None:
    launcher = FakeLauncher()
    launcher.start_errors["a"] = StartFailed("no", model="a", log_tail=("boom",))
    async with running(launcher) as bench:
        results = await asyncio.gather(*(bench.hold(A) for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [StartFailed] * 3
        assert len(launcher.engines) == 1


async def test_an_unforeseen_failure_of_a_start_becomes_an_error_that_names_the_model() -> None:
    launcher = FakeLauncher()
    launcher.start_errors["a"] = OSError("no such device")
    async with running(launcher) as bench:
        with pytest.raises(StartFailed, match=r"'a'.*no such device"):
            await bench.hold(A)


async def test_preload_loads_in_order_and_reports_failures() -> None:
    launcher = FakeLauncher()
    launcher.start_errors["b"] = StartFailed("no", model="b")
    async with running(launcher) as bench:
        failures = await bench.pool.preload([A, B, C])
        assert list(failures) == ["b"]
        assert bench.names() == ["a", "c"]


async def test_a_request_before_run_waits_for_it() -> None:
    bench = Bench(FakeLauncher(), settings())
    early = bench.hold(A)
    await settle()
    assert not early.done()
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.pool.run())
        await early
        await bench.pool.aclose()


# ── admission ───────────────────────────────────────────────────────────────────────────────────


async def test_no_more_requests_than_slots_run_and_the_first_come_is_the_first_served() -> None:
    async with running() as bench:
        ends = [asyncio.Event() for _ in range(4)]
        tasks = [bench.hold(A, end) for end in ends]
        await settle()
        (shown,) = bench.pool.loaded()
        assert (shown.slots, shown.in_flight, shown.queued) == (2, 2, 2)
        assert bench.pool.present() == 4
        ends[1].set()
        await settle()
        ends[2].set()
        await settle()
        assert [task.done() for task in tasks] == [False, True, True, False]
        for end in ends:
            end.set()
        await asyncio.gather(*tasks)
        assert bench.pool.present() == 0


async def test_a_heavy_request_waits_for_all_the_slots_it_needs_and_is_not_overtaken() -> None:
    async with running() as bench:
        light, heavy, late = asyncio.Event(), asyncio.Event(), asyncio.Event()
        bench.hold(A, light)
        await settle()
        second = bench.hold(A, heavy, weight=99)
        third = bench.hold(A, late)
        late.set()
        await settle()
        (shown,) = bench.pool.loaded()
        assert (shown.in_flight, shown.queued) == (1, 2)
        assert not third.done()
        light.set()
        await settle()
        assert bench.pool.loaded()[0].in_flight == 1
        heavy.set()
        await asyncio.gather(second, third)


async def test_a_full_queue_refuses_with_a_time_from_recent_service() -> None:
    async with running(config=settings(max_queue=2)) as bench:
        first = asyncio.Event()
        tasks = [bench.hold(A, first) for _ in range(2)]
        await settle()
        await bench.clock.advance(40)
        first.set()
        await asyncio.gather(*tasks)
        end = asyncio.Event()
        tasks = [bench.hold(A, end) for _ in range(4)]
        await settle()
        with pytest.raises(Overloaded, match="'a' is full: 2 requests") as caught:
            await bench.hold(A)
        # 40 s per request on two slots is 20 s a place; two wait, the newcomer would be third.
        assert caught.value.retry_after_s == 60
        end.set()
        await asyncio.gather(*tasks)


async def test_a_queue_of_none_still_lets_a_cold_model_be_loaded() -> None:
    async with running(config=settings(max_queue=0)) as bench:
        end = asyncio.Event()
        first = bench.hold(A, end)
        await settle()
        second = bench.hold(A, end, weight=5)
        third = bench.hold(A, end)
        await settle()
        with pytest.raises(Overloaded):
            await second
        end.set()
        await asyncio.gather(first, third)


async def test_cancellation_in_the_queue_leaves_no_trace() -> None:
    async with running() as bench:
        end = asyncio.Event()
        running_ones = [bench.hold(A, end) for _ in range(2)]
        await settle()
        gone, stays = bench.hold(A), bench.hold(A)
        await settle()
        gone.cancel()
        await settle()
        assert bench.pool.loaded()[0].queued == 1
        end.set()
        await asyncio.gather(*running_ones, stays)
        await settle()
        assert (bench.pool.loaded()[0].in_flight, bench.pool.loaded()[0].queued) == (0, 0)


async def test_cancellation_in_the_moment_of_being_served_gives_the_slot_back() -> None:
    async with running(FakeLauncher(slots=1)) as bench:
        async with bench.pool.lease(A):
            second, third = bench.hold(A), bench.hold(A)
            await settle()
        # The slot is given to `second` already, but its task has not run since.
        second.cancel()
        assert (await third).engine.state is State.READY
        await settle()
        assert bench.pool.loaded()[0].in_flight == 0


# ── keep_alive ──────────────────────────────────────────────────────────────────────────────────


async def test_an_idle_model_is_unloaded_after_keep_alive_counted_from_its_last_request() -> None:
    async with running() as bench:
        end = asyncio.Event()
        task = bench.hold(A, end)
        await bench.clock.advance(1000)
        end.set()
        await task
        await bench.clock.advance(299)
        assert bench.names() == ["a"]
        await bench.hold(A)
        await bench.clock.advance(299)
        assert bench.names() == ["a"]
        await bench.clock.advance(1)
        assert bench.names() == []


async def test_keep_alive_of_a_request_stays_with_the_engine_and_ends_with_it() -> None:
    async with running() as bench:
        await bench.hold(A, keep_alive_s=10)
        await bench.hold(A)
        await bench.clock.advance(10)
        assert bench.names() == []
        await bench.hold(A)
        await bench.clock.advance(299)
        assert bench.names() == ["a"]


async def test_keep_alive_for_ever_and_for_no_time() -> None:
    async with running() as bench:
        await bench.hold(A, keep_alive_s=-1)
        await bench.clock.advance(1e6)
        assert bench.pool.loaded()[0].expires_at is None
        await bench.hold(A, keep_alive_s=0)
        await settle()
        assert bench.names() == []


async def test_zero_keep_alive_waits_for_the_other_requests() -> None:
    async with running() as bench:
        end = asyncio.Event()
        other = bench.hold(A, end)
        await settle()
        await bench.hold(A, keep_alive_s=0)
        await settle()
        assert bench.names() == ["a"]
        end.set()
        await other
        await settle()
        assert bench.names() == []


async def test_the_time_of_unloading_is_shown_on_the_wall_clock() -> None:
    async with running() as bench:
        await bench.hold(A)
        await bench.clock.advance(100)
        assert bench.pool.loaded()[0].expires_at == bench.clock.wall() + 200


async def test_a_request_wins_over_an_unload_in_progress() -> None:
    async with running(config=settings(max_loaded=1)) as bench:
        await bench.hold(A, keep_alive_s=0)
        lease = await bench.hold(A)
        assert lease.engine is bench.launcher.engines[1]
        assert bench.launcher.most_alive == 1


# ── unload, drain, close ────────────────────────────────────────────────────────────────────────


async def test_unload_waits_for_running_requests_and_later_ones_get_a_new_engine() -> None:
    async with running() as bench:
        end = asyncio.Event()
        old = bench.hold(A, end)
        await settle()
        unloading = asyncio.create_task(bench.pool.unload("a"))
        await settle()
        assert bench.pool.loaded()[0].unloading
        new = await bench.hold(A)
        assert new.engine is bench.launcher.engines[1]
        assert not unloading.done()
        end.set()
        assert await unloading
        assert (await old).engine.state is State.STOPPED
        assert bench.names() == ["a"]


async def test_unloading_what_is_not_loaded_says_so() -> None:
    async with running() as bench:
        assert not await bench.pool.unload("a")


async def test_drain_serves_the_accepted_and_refuses_the_rest() -> None:
    async with running() as bench:
        end = asyncio.Event()
        accepted = [bench.hold(A, end) for _ in range(4)]
        await settle()
        draining = asyncio.create_task(bench.pool.drain())
        await settle()
        with pytest.raises(ShuttingDown):
            await bench.hold(A)
        assert not draining.done()
        end.set()
        await draining
        assert len(await asyncio.gather(*accepted)) == 4


async def test_drain_refuses_who_waits_for_a_load_that_has_not_begun() -> None:
    async with running(config=settings(max_loaded=1)) as bench:
        end = asyncio.Event()
        busy = bench.hold(A, end)
        await settle()
        waits = bench.hold(B)
        await settle()
        draining = asyncio.create_task(bench.pool.drain())
        with pytest.raises(ShuttingDown):
            await waits
        end.set()
        await draining
        await busy


async def test_closing_ends_busy_engines_and_refuses_who_waits() -> None:
    async with running(FakeLauncher(slots=1)) as bench:
        end = asyncio.Event()
        busy = bench.hold(A, end)
        await settle()
        waits = bench.hold(A)
        await settle()
        await bench.pool.aclose()
        assert bench.launcher.engines[0].state is State.STOPPED
        with pytest.raises(ShuttingDown):
            await waits
        end.set()
        await busy
        with pytest.raises(ShuttingDown):
            await bench.hold(A)


async def test_cancelling_run_ends_every_engine_even_one_that_is_loading() -> None:
    launcher = FakeLauncher()
    launcher.held["b"] = asyncio.Event()
    bench = Bench(launcher, settings())
    run = asyncio.create_task(bench.pool.run())
    await bench.hold(A)
    loading = bench.hold(B)
    await settle()
    assert len(launcher.alive()) == 2
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert not launcher.alive()
    with pytest.raises(ShuttingDown):
        await loading


# ── a model that changes under its name ─────────────────────────────────────────────────────────


async def test_one_model_may_generate_and_embed_side_by_side() -> None:
    embedder = msgspec.structs.replace(A, capabilities=("embedding",))
    async with running() as bench:
        await bench.hold(A)
        await bench.hold(embedder)
        await bench.hold(A)
        assert [engine.model.embeds for engine in bench.launcher.engines] == [False, True]
        assert len(bench.launcher.alive()) == 2
        assert await bench.pool.unload(A.name)
        assert bench.launcher.alive() == []


async def test_a_changed_digest_loads_the_new_model_and_lets_the_old_engine_finish() -> None:
    async with running() as bench:
        end = asyncio.Event()
        old = bench.hold(A, end)
        await settle()
        changed = fake_model("a", digest="f" * 64)
        new = await bench.hold(changed)
        assert new.engine.model is changed
        assert {one.digest for one in bench.pool.loaded()} == {A.digest, changed.digest}
        end.set()
        assert (await old).engine.model is A
        await settle()
        assert [one.digest for one in bench.pool.loaded()] == [changed.digest]


# ── models that share an engine ─────────────────────────────────────────────────────────────────

BASE, DERIVED = fake_model("base", file="weights"), fake_model("derived", file="weights")


async def test_models_of_one_file_share_an_engine_and_each_request_sees_its_own_model() -> None:
    async with running() as bench:
        base, derived = await bench.hold(BASE), await bench.hold(DERIVED)
        assert len(bench.launcher.engines) == 1
        assert (base.engine.model, derived.engine.model) == (BASE, DERIVED)
        assert base.engine.address == derived.engine.address


async def test_requests_for_both_race_for_one_load() -> None:
    launcher = FakeLauncher()
    launcher.held["base"] = asyncio.Event()
    async with running(launcher) as bench:
        tasks = [bench.hold(model) for model in (BASE, DERIVED) * 5]
        await settle()
        assert [(one.name, one.queued) for one in bench.pool.loaded()] == [
            ("base", 5),
            ("derived", 5),
        ]
        launcher.held["base"].set()
        await asyncio.gather(*tasks)
        assert len(launcher.engines) == 1


async def test_each_name_in_use_is_shown_with_its_own_requests() -> None:
    async with running() as bench:
        end = asyncio.Event()
        asked = (BASE, DERIVED, DERIVED)
        tasks = [bench.hold(model, end) for model in asked]
        await settle()
        shown = {one.name: one for one in bench.pool.loaded()}
        counts = {name: (one.in_flight, one.queued) for name, one in shown.items()}
        assert counts == {"base": (1, 0), "derived": (1, 1)}
        assert {name: one.shared_with for name, one in shown.items()} == {
            "base": None,
            "derived": "base",
        }
        assert [one.digest for one in shown.values()] == [BASE.digest, DERIVED.digest]
        end.set()
        await asyncio.gather(*tasks)


async def test_an_engine_is_loaded_in_the_name_that_asked_for_it() -> None:
    async with running() as bench:
        await bench.hold(BASE)
        await bench.pool.unload("base")
        await bench.hold(DERIVED)
        assert bench.names() == ["derived"]
        assert bench.launcher.engines[-1].model is DERIVED


async def test_a_full_queue_is_told_of_the_model_that_was_asked_for() -> None:
    full = running(FakeLauncher(slots=1), settings(max_queue=0))
    async with full as bench, bench.pool.lease(BASE):
        with pytest.raises(Overloaded, match="'derived' is full"):
            await bench.hold(DERIVED)


async def test_unloading_one_name_unloads_the_engine_of_both() -> None:
    async with running() as bench:
        await bench.hold(BASE, keep_alive_s=-1)
        await bench.hold(DERIVED)
        assert await bench.pool.unload("derived")
        assert bench.names() == []
        assert not await bench.pool.unload("base")


async def test_a_name_that_was_not_asked_for_is_not_loaded() -> None:
    async with running() as bench:
        await bench.hold(BASE)
        assert not await bench.pool.unload("derived")
        assert bench.names() == ["base"]


async def test_removing_one_name_leaves_the_engine_to_the_other() -> None:
    async with running() as bench:
        await bench.hold(BASE)
        await bench.hold(DERIVED)
        await bench.pool.forget("base")
        await settle()
        assert bench.names() == ["derived"]
        await bench.pool.forget("derived")
        await settle()
        assert bench.launcher.alive() == []


async def test_a_model_that_is_removed_while_it_answers_ends_with_its_last_request() -> None:
    async with running() as bench:
        end = asyncio.Event()
        task = bench.hold(BASE, end, keep_alive_s=-1)
        await settle()
        await bench.pool.forget("base")
        await settle()
        assert bench.names() == ["base"]
        end.set()
        assert (await task).engine.state is State.READY
        await settle()
        assert bench.launcher.alive() == []


async def test_a_new_digest_on_the_same_file_keeps_the_engine() -> None:
    async with running() as bench:
        await bench.hold(DERIVED)
        renewed = fake_model("derived", digest="d" * 64, file="weights")
        lease = await bench.hold(renewed)
        assert lease.engine.model is renewed
        assert [one.digest for one in bench.pool.loaded()] == [renewed.digest]
        assert len(bench.launcher.engines) == 1


async def test_a_name_that_moves_to_another_file_leaves_the_engine_to_the_others() -> None:
    async with running() as bench:
        await bench.hold(BASE)
        await bench.hold(DERIVED)
        await bench.hold(fake_model("derived", digest="d" * 64, file="others"))
        shown = [(one.name, one.shared_with) for one in bench.pool.loaded()]
        assert sorted(shown) == [("base", None), ("derived", None)]
        assert len(bench.launcher.alive()) == 2


# ── crashes ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_crashed_engine_is_dropped_and_the_next_request_loads_anew() -> None:
    async with running() as bench:
        end = asyncio.Event()
        victim = bench.hold(A, end)
        await settle()
        bench.launcher.engines[0].crash()
        await settle()
        assert bench.names() == []
        fresh = await bench.hold(A)
        assert fresh.engine is bench.launcher.engines[1]
        end.set()
        assert (await victim).engine.state is State.FAILED


async def test_requests_that_waited_in_the_queue_of_a_crashed_engine_are_served() -> None:
    async with running(FakeLauncher(slots=1)) as bench:
        end = asyncio.Event()
        bench.hold(A, end)
        await settle()
        waiting = [bench.hold(A) for _ in range(3)]
        await settle()
        bench.launcher.engines[0].crash()
        leases = await asyncio.gather(*waiting)
        assert {lease.engine for lease in leases} == {bench.launcher.engines[1]}
        end.set()


async def test_three_deaths_in_a_minute_stop_the_loads_for_the_rest_of_it() -> None:
    async with running() as bench:
        for number in range(3):
            await bench.hold(A)
            bench.launcher.engines[number].crash()
            await bench.clock.advance(5)
        with pytest.raises(StartFailed, match=r"died 3 times .* 45 s") as caught:
            await bench.hold(A)
        assert caught.value.log_tail == ("fake engine",)
        await bench.hold(B)
        await bench.clock.advance(45)
        assert (await bench.hold(A)).engine is bench.launcher.engines[-1]


async def test_failed_starts_count_as_deaths() -> None:
    launcher = FakeLauncher()
    launcher.start_errors["a"] = StartFailed("no", model="a")
    async with running(launcher) as bench:
        for _ in range(5):
            with pytest.raises(StartFailed):
                await bench.hold(A)
        assert len(launcher.engines) == 3


# ── memory ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_model_that_never_fits_is_refused_even_beside_busy_ones() -> None:
    launcher = FakeLauncher(total_bytes=10 * MIB, need_bytes={"b": 11 * MIB})
    async with running(launcher) as bench:
        end = asyncio.Event()
        busy = bench.hold(A, end)
        await settle()
        with pytest.raises(OutOfMemory, match="'b' needs"):
            await bench.hold(B)
        end.set()
        await busy
        assert bench.names() == ["a"]
