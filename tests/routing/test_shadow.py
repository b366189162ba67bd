"""Copies: bounded in every way, and nobody notices them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from reshore.backends.answer import Call, Spoken
from reshore.clock import SystemClock
from reshore.config.shadow import ShadowConfig
from reshore.errors import Unreachable
from reshore.routing.sample import Sample
from reshore.routing.shadow import ShadowResult, ShadowWorker
from reshore.testing import MovableClock, settle
from reshore.types import Attempt, Target, Usage
from tests.routing.dispatching import only_this_task
from tests.routing.scripted import CLOUD, LOCAL, ScriptedCall, Turn

GONE = Unreachable("no connection", backend="openai")


class Engines:
    """Stands for the pool: how many are at work."""

    def __init__(self) -> None:
        self.busy = 0

    def present(self) -> int:
        return self.busy


class Scene:
    """A worker with its clock, and what it told."""

    def __init__(self, config: ShadowConfig | None = None, *, keep_results: bool = False) -> None:
        self.clock = MovableClock()
        self.engines = Engines()
        self.late: list[tuple[str, Attempt]] = []
        self.results: list[ShadowResult] = []
        self.worker = ShadowWorker(
            config or ShadowConfig(),
            clock=self.clock,
            local=self.engines,
            record_late=self._record,
            on_result=self.results.append if keep_results else None,
        )
        self._count = 0

    def _record(self, request_id: str, attempt: Attempt) -> None:
        self.late.append((request_id, attempt))

    def offer(
        self,
        call: Call,
        mirror: Target = CLOUD,
        *,
        size_bytes: int = 10,
        said: Spoken | None = None,
    ) -> None:
        self._count += 1
        self.worker.offer(
            call,
            mirror,
            Sample(
                request_id=f"req_{self._count}",
                size_bytes=size_bytes,
                started_s=self.clock.monotonic() - 1.5,
                said=said,
            ),
        )

    def dropped(self) -> dict[str, int]:
        return {str(why): count for why, count in self.worker.state().dropped.items()}


@asynccontextmanager
async def working(scene: Scene) -> AsyncIterator[Scene]:
    async with scene.worker:
        yield scene
    only_this_task()


async def test_a_copy_is_answered_and_recorded_under_its_request() -> None:
    async with working(Scene()) as scene:
        call = ScriptedCall({CLOUD: [Turn(usage=Usage(prompt_tokens=3, completion_tokens=5))]})
        scene.offer(call)
        assert call.asked == [], "an offer does nothing but take"
        await settle()
        ((request_id, attempt),) = scene.late
        assert request_id == "req_1"
        assert attempt.role == "shadow"
        assert attempt.target == CLOUD
        assert not attempt.answered
        assert attempt.error is None
        assert attempt.finish_reason == "stop"
        assert attempt.usage == Usage(prompt_tokens=3, completion_tokens=5)
        assert attempt.started_ms == pytest.approx(1500)
        assert scene.worker.state().answered == 1
        assert scene.worker.state().held_bytes == 0
        assert call.asked[0].state == "left"


async def test_no_text_is_kept_unless_somebody_wants_it() -> None:
    async with working(Scene()) as scene:
        call = ScriptedCall()
        scene.offer(call)
        await settle()
        assert not call.asked[0].keep_text


async def test_whoever_compares_gets_the_text() -> None:
    async with working(Scene(keep_results=True)) as scene:
        scene.offer(ScriptedCall())
        scene.offer(ScriptedCall({CLOUD: [Turn(error=GONE)]}))
        await settle()
        first, second = scene.results
        assert (first.sample.request_id, second.sample.request_id) == ("req_1", "req_2")
        assert first.said is not None
        assert (first.said.target, first.said.text) == (CLOUD, "one two three")
        assert second.said is None
        assert second.attempt.error == "Unreachable"


async def test_what_clients_got_counts_among_what_is_held() -> None:
    config = ShadowConfig(concurrency=1, queue_bytes=100)
    async with working(Scene(config, keep_results=True)) as scene:
        call = ScriptedCall({CLOUD: [Turn(gate=asyncio.Event())]})
        scene.offer(call, said=Spoken(target=LOCAL, text="x" * 60))
        assert scene.worker.state().held_bytes == 70
        scene.offer(call, said=Spoken(target=LOCAL, text="x" * 30))
        assert scene.dropped() == {"bytes": 1}
    assert scene.worker.state().held_bytes == 0


async def test_a_copy_with_an_endless_answer_is_ended() -> None:
    config = ShadowConfig(queue_bytes=100)
    async with working(Scene(config, keep_results=True)) as scene:
        endless = Turn(frames=(b"x" * 60, b"x" * 60, asyncio.Event()))
        scene.offer(ScriptedCall({CLOUD: [endless]}))
        await settle()
        assert scene.dropped() == {"bytes": 1}
        assert scene.results[0].said is None
        assert scene.late[0][1].error == "Cancelled"


@pytest.mark.parametrize(
    "turn", [Turn(error=GONE), Turn(frames=(b"one ", GONE)), Turn(error=ValueError("a bug"))]
)
async def test_a_copy_that_fails_is_recorded_and_hurts_nobody(turn: Turn) -> None:
    async with working(Scene()) as scene:
        scene.offer(ScriptedCall({CLOUD: [turn]}))
        await settle()
        assert scene.late[0][1].error in ("Unreachable", "ValueError")
        assert scene.worker.state().failed == 1
        scene.offer(ScriptedCall())
        await settle()
        assert scene.worker.state().answered == 1


async def test_no_more_run_at_once_than_may() -> None:
    async with working(Scene(ShadowConfig(concurrency=2))) as scene:
        gate = asyncio.Event()
        call = ScriptedCall({CLOUD: [Turn(gate=gate)]})
        for _ in range(5):
            scene.offer(call)
        await settle()
        assert len(call.asked) == 2
        assert scene.worker.state().waiting == 3
        assert scene.worker.state().held_bytes == 50
        gate.set()
        await settle()
        assert scene.worker.state().answered == 5


async def test_what_finds_the_queue_full_is_dropped_and_counted() -> None:
    async with working(Scene(ShadowConfig(concurrency=1, queue=2))) as scene:
        call = ScriptedCall({CLOUD: [Turn(gate=asyncio.Event())]})
        for _ in range(5):
            scene.offer(call)
        assert scene.dropped() == {"queue": 2}
    assert scene.dropped() == {"queue": 2, "closing": 3}
    assert scene.worker.state().held_bytes == 0


async def test_what_is_too_large_is_dropped_and_counted() -> None:
    config = ShadowConfig(concurrency=1, queue_bytes=100)
    async with working(Scene(config)) as scene:
        call = ScriptedCall({CLOUD: [Turn(gate=asyncio.Event())]})
        for size in (60, 50, 40, 1):
            scene.offer(call, size_bytes=size)
        assert scene.dropped() == {"bytes": 2}
        assert scene.worker.state().held_bytes == 100


async def test_a_copy_that_waits_too_long_is_dropped() -> None:
    async with working(Scene(ShadowConfig(concurrency=1, timeout_s=30))) as scene:
        scene.engines.busy = 1
        scene.offer(ScriptedCall(), LOCAL)
        await scene.clock.advance(29)
        assert scene.worker.state().waiting == 1
        await scene.clock.advance(1.5)
        assert scene.dropped() == {"late": 1}
        assert scene.late == [], "nobody was asked"


async def test_a_copy_that_takes_too_long_is_ended() -> None:
    async with working(Scene(ShadowConfig(timeout_s=30))) as scene:
        call = ScriptedCall({CLOUD: [Turn(frames=(b"one ", asyncio.Event()))]})
        scene.offer(call)
        await scene.clock.advance(30.5)
        assert scene.late[0][1].error == "BackendTimeout"
        assert scene.worker.state().failed == 1
        assert call.open_now() == []


async def test_a_local_copy_waits_until_no_client_wants_the_engines() -> None:
    async with working(Scene()) as scene:
        scene.engines.busy = 1
        call = ScriptedCall()
        scene.offer(call, LOCAL)
        await scene.clock.advance(5)
        assert call.asked == []
        scene.engines.busy = 0
        await scene.clock.advance(0.3)
        assert scene.worker.state().answered == 1


async def test_a_waiting_local_copy_holds_up_no_other() -> None:
    async with working(Scene(ShadowConfig(concurrency=1))) as scene:
        scene.engines.busy = 1
        local, cloud = ScriptedCall(), ScriptedCall()
        scene.offer(local, LOCAL)
        scene.offer(cloud, CLOUD)
        await settle()
        assert cloud.names() == ["big"]
        assert local.asked == []


async def test_a_local_copy_gives_way_to_a_client() -> None:
    async with working(Scene()) as scene:
        call = ScriptedCall({LOCAL: [Turn(frames=(b"one ", asyncio.Event()))]})
        scene.offer(call, LOCAL)
        await settle()
        scene.engines.busy = 1
        await scene.clock.advance(1)
        assert call.open_now() == [LOCAL], "it is the copy itself that is at work"
        scene.engines.busy = 2
        await scene.clock.advance(0.3)
        assert call.open_now() == []
        assert scene.dropped() == {"yielded": 1}
        assert scene.late[0][1].error == "Cancelled"


async def test_a_cloud_copy_does_not_give_way() -> None:
    async with working(Scene()) as scene:
        gate = asyncio.Event()
        scene.offer(ScriptedCall({CLOUD: [Turn(gate=gate)]}))
        scene.engines.busy = 9
        await scene.clock.advance(3)
        gate.set()
        await settle()
        assert scene.worker.state().answered == 1


async def test_closing_ends_what_runs_and_takes_nothing_more() -> None:
    scene = Scene(ShadowConfig(concurrency=1))
    call = ScriptedCall({CLOUD: [Turn(gate=asyncio.Event())]})
    async with working(scene):
        scene.offer(call)
        scene.offer(call)
        await settle()
    assert call.open_now() == []
    scene.offer(call)
    assert scene.dropped() == {"closing": 3}
    assert scene.worker.state().held_bytes == 0


@pytest.mark.slow
async def test_closing_waits_less_than_a_second_for_what_does_not_end() -> None:
    stuck = asyncio.Event()
    scene = Scene()
    scene.worker = ShadowWorker(
        ShadowConfig(), clock=SystemClock(), local=scene.engines, record_late=scene._record
    )
    began = time.monotonic()
    async with scene.worker:
        scene.offer(ScriptedCall({CLOUD: [Turn(gate=asyncio.Event(), leaving=stuck)]}))
        await settle()
    assert time.monotonic() - began < 1
    stuck.set()
    await settle()


async def test_an_offer_never_raises() -> None:
    class Broken(Engines):
        def present(self) -> int:
            raise RuntimeError("a bug")

    async with working(Scene()) as scene:
        scene.worker._local = Broken()
        scene.offer(ScriptedCall(), LOCAL)
        await settle()


async def test_a_ledger_that_fails_does_not_stop_the_worker() -> None:
    def broken(request_id: str, attempt: Attempt) -> None:
        raise OSError("disk full")

    scene = Scene()
    scene.worker._record_late = broken
    async with working(scene):
        scene.offer(ScriptedCall())
        await settle()
        assert scene.worker.state().answered == 1


async def test_nothing_runs_when_there_is_nothing_to_do() -> None:
    async with working(Scene()) as scene:
        scene.offer(ScriptedCall())
        await scene.clock.advance(1)
        only_this_task()
