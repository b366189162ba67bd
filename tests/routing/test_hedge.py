"""Hedges: who is started when, who answers, and that the loser is gone."""

from __future__ import annotations

import asyncio
import logging

import pytest

from reshore.config import RoutingConfig
from reshore.errors import (
    BackendTimeout,
    Crashed,
    Overloaded,
    RequestError,
    Unreachable,
    UpstreamStatus,
)
from reshore.routing.plan import FallbackPlan, HedgePlan, Plan
from reshore.testing import settle
from reshore.types import Usage
from tests.routing.dispatching import Bench, only_this_task
from tests.routing.scripted import CLOUD, LOCAL, OTHER, SPARE, ScriptedCall, Turn, ask

FULL = Overloaded("full", retry_after_s=3.0)
DIED = Crashed("died", model="small")
GONE = Unreachable("no connection", backend="openai")
SLOW = BackendTimeout("no token", backend="openai")


def hedged(first: Plan | None = None, second: Plan | None = None, after_ms: float = 800) -> Plan:
    return HedgePlan(first=first or ask(LOCAL), second=second or ask(CLOUD), after_ms=after_ms)


def quick() -> Bench:
    return Bench(RoutingConfig(retries=0))


async def test_a_first_one_that_is_in_time_answers_alone() -> None:
    bench = quick()
    call = ScriptedCall()
    assert await bench.read(call, hedged()) == b"one two three"
    await bench.clock.advance(10)
    assert call.names() == ["small"]
    assert bench.told() == ["*primary small"]
    only_this_task()


async def test_when_the_first_is_late_the_second_is_started() -> None:
    bench = quick()
    call = ScriptedCall({LOCAL: [Turn(gate=asyncio.Event())]})
    task = bench.start(call, hedged())
    await bench.clock.advance(0.79)
    assert call.names() == ["small"]
    await bench.clock.advance(0.02)
    assert await task == b"one two three"
    assert call.names() == ["small", "big"]
    assert bench.told() == ["primary small Cancelled", "*hedge big"]
    assert call.open_now() == []
    only_this_task()


async def test_the_first_may_still_win_after_the_second_was_started() -> None:
    bench = quick()
    gate = asyncio.Event()
    call = ScriptedCall({LOCAL: [Turn(gate=gate)], CLOUD: [Turn(gate=asyncio.Event())]})
    task = bench.start(call, hedged())
    await bench.clock.advance(1)
    gate.set()
    assert await task == b"one two three"
    assert bench.told() == ["*primary small", "hedge big Cancelled"]


async def test_the_loser_is_gone_while_the_winner_speaks() -> None:
    bench = quick()
    more = asyncio.Event()
    call = ScriptedCall(
        {LOCAL: [Turn(gate=asyncio.Event())], CLOUD: [Turn(frames=(b"one ", more, b"two"))]}
    )
    task = bench.start(call, hedged())
    await bench.clock.advance(1)
    assert call.open_now() == [CLOUD]
    assert bench.told() == ["primary small Cancelled", "*hedge big"]
    more.set()
    assert await task == b"one two"


async def test_a_loser_that_is_slow_to_leave_does_not_hold_up_the_answer() -> None:
    bench = quick()
    leaving = asyncio.Event()
    call = ScriptedCall({LOCAL: [Turn(gate=asyncio.Event(), leaving=leaving)]})
    heard = asyncio.Event()

    async def listen() -> None:
        async with bench.dispatcher.open(call, hedged(), bench.journal) as answer:
            async for _ in answer.frames:
                heard.set()

    task = asyncio.create_task(listen())
    await bench.clock.advance(1)
    assert heard.is_set()
    assert not task.done(), "the request ends when its slot is free"
    leaving.set()
    await task
    only_this_task()


async def test_of_two_at_the_same_moment_the_first_answers() -> None:
    bench = quick()
    gate = asyncio.Event()
    call = ScriptedCall({LOCAL: [Turn(gate=gate)], CLOUD: [Turn(gate=gate)]})
    task = bench.start(call, hedged())
    await bench.clock.advance(1)
    gate.set()
    await task
    assert bench.told() == ["*primary small", "hedge big Cancelled"]


async def test_when_the_first_fails_early_the_second_is_started_at_once() -> None:
    bench = quick()
    call = ScriptedCall({LOCAL: [Turn(error=DIED)]})
    assert await bench.read(call, hedged()) == b"one two three"
    assert bench.told() == ["primary small Crashed", "*hedge big"]


async def test_a_request_that_is_wrong_is_not_sent_twice() -> None:
    call = ScriptedCall({LOCAL: [Turn(error=RequestError("bad"))]})
    with pytest.raises(RequestError):
        await quick().read(call, hedged())
    assert call.names() == ["small"]
    only_this_task()


async def test_a_first_one_that_asks_for_a_long_wait_is_not_waited_for() -> None:
    bench = Bench(chance=0.0)
    busy = UpstreamStatus("no", backend="openai", status=503, retryable=True, retry_after_s=5.0)
    call = ScriptedCall({CLOUD: [Turn(error=busy)]})
    assert await bench.read(call, hedged(ask(CLOUD), ask(LOCAL))) == b"one two three"
    assert bench.told() == ["primary big UpstreamStatus", "*hedge small"]


async def test_when_the_second_fails_the_first_is_waited_for() -> None:
    bench = quick()
    gate = asyncio.Event()
    call = ScriptedCall({LOCAL: [Turn(gate=gate)], CLOUD: [Turn(error=GONE)]})
    task = bench.start(call, hedged())
    await bench.clock.advance(1)
    assert not task.done()
    gate.set()
    assert await task == b"one two three"
    assert bench.told() == ["*primary small", "hedge big Unreachable"]


async def test_when_both_fail_the_more_useful_error_is_told() -> None:
    call = ScriptedCall({LOCAL: [Turn(error=DIED)], CLOUD: [Turn(error=SLOW)]})
    bench = quick()
    with pytest.raises(BackendTimeout):
        await bench.read(call, hedged())
    assert bench.told() == ["primary small Crashed", "hedge big BackendTimeout"]
    only_this_task()


async def test_each_side_lives_in_one_task() -> None:
    """Time limits and HTTP clients do not survive being left in another task than entered."""
    bench = quick()
    call = ScriptedCall({LOCAL: [Turn(gate=asyncio.Event())]})
    task = bench.start(call, hedged())
    await bench.clock.advance(1)
    await task
    for asked in call.asked:
        assert asked.task is asked.left_in
        assert asked.task is not task


async def test_a_winner_that_breaks_off_tells_its_error_after_its_frames() -> None:
    bench = quick()
    call = ScriptedCall({LOCAL: [Turn(frames=(b"one ", b"two ", DIED))]})
    seen: list[bytes] = []
    with pytest.raises(Crashed):
        await bench.read_into(seen, call, hedged())
    assert seen == [b"one ", b"two "]
    assert bench.told() == ["*primary small Crashed"]


async def test_a_slow_reader_holds_up_the_winner() -> None:
    """Frames do not pile up in memory."""
    bench = quick()
    sent = 0

    class Counting(ScriptedCall):
        async def _frames(self, turn, measured):  # type: ignore[no-untyped-def,override]
            nonlocal sent
            async for frame in super()._frames(turn, measured):
                sent += 1
                yield frame

    call = Counting({LOCAL: [Turn(frames=(b"x",) * 1000)]})
    async with bench.dispatcher.open(call, hedged(), bench.journal) as answer:
        await anext(answer.frames)
        await settle()
        assert sent < 30
        rest = [frame async for frame in answer.frames]
    assert len(rest) == 999


async def test_measures_of_the_winner_reach_the_reader() -> None:
    bench = quick()
    usage = Usage(prompt_tokens=7, completion_tokens=3)
    call = ScriptedCall({LOCAL: [Turn(usage=usage)]})
    async with bench.dispatcher.open(call, hedged(), bench.journal) as answer:
        async for _ in answer.frames:
            pass
        assert await anext(answer.frames, None) is None, "the end stays the end"
        assert answer.measured.usage == usage
    assert bench.journal.attempts()[0].usage == usage


@pytest.mark.parametrize("seconds", [0.1, 1.0])
async def test_a_hang_up_before_anybody_answers_ends_both(seconds: float) -> None:
    bench = quick()
    call = ScriptedCall({LOCAL: [Turn(gate=asyncio.Event())], CLOUD: [Turn(gate=asyncio.Event())]})
    task = bench.start(call, hedged())
    await bench.clock.advance(seconds)
    assert len(call.open_now()) == (1 if seconds < 0.8 else 2)
    task.cancel()
    await settle()
    assert task.cancelled()
    assert call.open_now() == []
    assert {each.error for each in bench.journal.attempts()} == {"Cancelled"}
    only_this_task()


async def test_a_hang_up_reaches_the_sides_within_one_turn() -> None:
    bench = quick()
    call = ScriptedCall(
        {LOCAL: [Turn(gate=asyncio.Event())], CLOUD: [Turn(frames=(b"one", asyncio.Event()))]}
    )
    task = bench.start(call, hedged())
    await bench.clock.advance(1)
    task.cancel()
    await asyncio.sleep(0)  # the request's task runs, and cancels
    await asyncio.sleep(0)  # the sides run, and leave
    assert call.open_now() == []
    await asyncio.wait([task])
    only_this_task()


async def test_a_second_hang_up_leaves_no_task_behind() -> None:
    bench = quick()
    leaving = asyncio.Event()
    call = ScriptedCall({LOCAL: [Turn(gate=asyncio.Event(), leaving=leaving)]})
    task = bench.start(call, hedged())
    await bench.clock.advance(0.1)
    for _ in range(3):
        task.cancel()
        await settle()
    assert not task.done()
    leaving.set()
    await settle()
    assert task.cancelled()
    only_this_task()


async def test_a_fault_of_ours_on_one_side_is_logged_and_the_other_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    call = ScriptedCall({LOCAL: [Turn(gate=asyncio.Event())], CLOUD: [Turn(error=KeyError("bug"))]})
    bench = quick()
    task = bench.start(call, hedged())
    with caplog.at_level(logging.ERROR):
        await bench.clock.advance(1)
    assert "nobody thought of" in caplog.text
    task.cancel()
    await asyncio.wait([task])
    call = ScriptedCall({LOCAL: [Turn(error=KeyError("bug"))]})
    with pytest.raises(KeyError):
        await quick().read(call, hedged())


async def test_fallbacks_inside_a_hedge_and_hedges_inside_a_fallback() -> None:
    first = FallbackPlan(plans=(ask(LOCAL), ask(OTHER)))
    second = FallbackPlan(plans=(ask(CLOUD), ask(SPARE)))
    call = ScriptedCall(
        {
            LOCAL: [Turn(error=FULL)],
            OTHER: [Turn(gate=asyncio.Event())],
            CLOUD: [Turn(error=GONE)],
        }
    )
    bench = quick()
    task = bench.start(call, hedged(first, second))
    await bench.clock.advance(1)
    assert await task == b"one two three"
    assert bench.told() == [
        "primary small Overloaded",
        "fallback other Cancelled",
        "hedge big Unreachable",
        "*fallback big",
    ]
    call = ScriptedCall({LOCAL: [Turn(error=DIED)], CLOUD: [Turn(error=GONE)]})
    bench = quick()
    assert await bench.read(call, FallbackPlan(plans=(hedged(), ask(SPARE)))) == b"one two three"
    assert bench.told() == [
        "primary small Crashed",
        "hedge big Unreachable",
        "*fallback big",
    ]


async def test_a_hedge_inside_a_hedge() -> None:
    never = asyncio.Event()
    call = ScriptedCall({target: [Turn(gate=never)] for target in (LOCAL, CLOUD, SPARE)})
    plan = hedged(hedged(after_ms=100), hedged(ask(SPARE), ask(OTHER), after_ms=200), after_ms=300)
    bench = quick()
    task = bench.start(call, plan)
    await bench.clock.advance(0.49)
    assert call.open_now() == [LOCAL, CLOUD, SPARE]
    await bench.clock.advance(0.02)
    assert await task == b"one two three"
    assert bench.told() == [
        "primary small Cancelled",
        "hedge big Cancelled",
        "hedge big Cancelled",
        "*hedge other",
    ]
    only_this_task()


async def test_a_stream_that_breaks_off_behind_a_hedge_is_gone_on_with() -> None:
    plan = FallbackPlan(plans=(hedged(), ask(SPARE)), resume=True)
    call = ScriptedCall({LOCAL: [Turn(frames=(b"Once ", DIED))]})
    bench = quick()
    assert await bench.read(call, plan) == b"Once one two three"
    assert bench.told() == ["*primary small Crashed", "*resume big"]


async def test_a_fallback_that_resumes_inside_a_hedge() -> None:
    first = FallbackPlan(plans=(ask(LOCAL), ask(OTHER)), resume=True)
    call = ScriptedCall({LOCAL: [Turn(frames=(b"Once ", DIED))]})
    bench = quick()
    assert await bench.read(call, hedged(first)) == b"Once one two three"
    assert bench.told() == ["*primary small Crashed", "*resume other"]
    only_this_task()
