"""Fallback: on what, in which order, which error is told; and streams that are gone on with."""

from __future__ import annotations

import asyncio
import logging

import pytest

from reshore.config import RoutingConfig
from reshore.errors import (
    BackendTimeout,
    ContextTooLong,
    Crashed,
    Overloaded,
    RequestError,
    ReshoreError,
    ShuttingDown,
    Unreachable,
    UpstreamStatus,
)
from reshore.routing.plan import REASONS, FallbackPlan, Plan, Reason
from reshore.testing import settle
from reshore.types import Target, Usage
from tests.routing.dispatching import Bench, only_this_task
from tests.routing.scripted import CLOUD, LOCAL, OTHER, SPARE, ScriptedCall, Turn, ask

FULL = Overloaded("full", retry_after_s=3.0)
DIED = Crashed("died", model="small")
GONE = Unreachable("no connection", backend="openai")
SLOW = BackendTimeout("no token", backend="openai")
LONG = ContextTooLong(prompt_tokens=9, context_length=4)


def fallback(
    *targets: Target, on: frozenset[Reason] = frozenset(REASONS), resume: bool = False
) -> FallbackPlan:
    plans: tuple[Plan, ...] = tuple(ask(target) for target in targets)
    return FallbackPlan(plans=plans, on=on, resume=resume)


def failing(*frames: bytes, error: Exception = DIED) -> Turn:
    return Turn(frames=(*frames, error))


def quick() -> Bench:
    return Bench(RoutingConfig(retries=0))


async def test_the_next_is_asked_when_one_fails() -> None:
    bench = quick()
    call = ScriptedCall({LOCAL: [Turn(error=FULL)], CLOUD: [Turn(error=GONE)]})
    assert await bench.read(call, fallback(LOCAL, CLOUD, SPARE)) == b"one two three"
    assert bench.told() == ["primary small Overloaded", "fallback big Unreachable", "*fallback big"]
    assert bench.journal.notes == [
        "local/small did not answer (Overloaded)",
        "openai/big did not answer (Unreachable)",
    ]


async def test_nobody_else_is_asked_when_the_first_answers() -> None:
    bench = quick()
    call = ScriptedCall()
    await bench.read(call, fallback(LOCAL, CLOUD))
    assert call.names() == ["small"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FULL, "overload"),
        (SLOW, "timeout"),
        (GONE, "error"),
        (LONG, "context"),
        (UpstreamStatus("no", backend="b", status=404), "capability"),
    ],
)
async def test_the_next_is_asked_only_for_the_reasons_named(
    error: ReshoreError, reason: Reason
) -> None:
    call = ScriptedCall({LOCAL: [Turn(error=error)]})
    assert await quick().read(call, fallback(LOCAL, CLOUD, on=frozenset({reason})))
    call = ScriptedCall({LOCAL: [Turn(error=error)]})
    others = frozenset(REASONS) - {reason}
    with pytest.raises(type(error)):
        await quick().read(call, fallback(LOCAL, CLOUD, on=others))
    assert call.names() == ["small"]


@pytest.mark.parametrize("error", [RequestError("bad"), ShuttingDown("bye")])
async def test_what_is_nobodys_fault_is_told_at_once(error: ReshoreError) -> None:
    call = ScriptedCall({LOCAL: [Turn(error=error)]})
    with pytest.raises(type(error)):
        await quick().read(call, fallback(LOCAL, CLOUD))
    assert call.names() == ["small"]


async def test_each_is_left_before_the_next_is_asked() -> None:
    bench = quick()
    leaving = asyncio.Event()
    call = ScriptedCall({LOCAL: [Turn(error=FULL, leaving=leaving)]})
    task = bench.start(call, fallback(LOCAL, CLOUD))
    await settle()
    assert call.names() == ["small"]
    leaving.set()
    await task


async def test_when_all_fail_the_most_useful_error_is_told() -> None:
    denied = UpstreamStatus("bad key", backend="spare", status=401)
    call = ScriptedCall(
        {
            LOCAL: [Turn(error=LONG)],
            CLOUD: [Turn(error=FULL)],
            SPARE: [Turn(error=denied)],
        }
    )
    bench = quick()
    with pytest.raises(Overloaded) as told:
        await bench.read(call, fallback(LOCAL, CLOUD, SPARE))
    assert told.value is FULL
    assert not any(each.answered for each in bench.journal.attempts())
    assert len(bench.journal.attempts()) == 3


async def test_the_reasons_do_not_choose_among_the_errors_of_the_end() -> None:
    """Nobody is left to be asked: what `on` says about the last one's error is of no interest."""
    call = ScriptedCall({LOCAL: [Turn(error=SLOW)], CLOUD: [Turn(error=LONG)]})
    with pytest.raises(BackendTimeout):
        await quick().read(call, fallback(LOCAL, CLOUD, on=frozenset({"timeout"})))


async def test_the_log_says_what_was_tried(caplog: pytest.LogCaptureFixture) -> None:
    call = ScriptedCall({LOCAL: [Turn(error=FULL)], CLOUD: [Turn(error=GONE)]})
    with caplog.at_level(logging.WARNING), pytest.raises(Overloaded):
        await quick().read(call, fallback(LOCAL, CLOUD))
    assert [record.getMessage() for record in caplog.records] == [
        "local/small did not answer: Overloaded: full",
        "openai/big did not answer: Unreachable: no connection",
    ]
    assert {vars(record)["request_id"] for record in caplog.records} == {"req_1"}


async def test_while_another_can_be_asked_no_long_wait_is_sat_out() -> None:
    bench = Bench(chance=0.0)
    busy = UpstreamStatus("no", backend="openai", status=503, retryable=True, retry_after_s=5.0)
    call = ScriptedCall({CLOUD: [Turn(error=busy), Turn()], SPARE: [Turn(error=busy), Turn()]})
    task = bench.start(call, fallback(CLOUD, SPARE))
    await bench.clock.advance(5)
    assert await task
    assert bench.told() == [
        "primary big UpstreamStatus",
        "fallback big UpstreamStatus",
        "*retry big",
    ]


async def test_a_target_at_rest_costs_nothing() -> None:
    bench = Bench(RoutingConfig(retries=0, breaker_failures=1))
    call = ScriptedCall({CLOUD: [Turn(error=GONE)]})
    for _ in range(3):
        assert await bench.read(call, fallback(CLOUD, LOCAL))
    assert call.names() == ["big", "small", "small", "small"]


async def test_a_whole_reply_that_breaks_off_is_answered_by_the_next() -> None:
    bench = quick()
    broken = Turn(frames=(b'{"half', DIED), stream=False)
    call = ScriptedCall({LOCAL: [broken], CLOUD: [Turn(frames=(b"whole",), stream=False)]})
    assert await bench.read(call, fallback(LOCAL, CLOUD)) == b"whole"
    assert bench.told() == ["primary small Crashed", "*fallback big"]


async def test_without_resume_a_stream_that_breaks_off_ends_with_its_error() -> None:
    bench = quick()
    call = ScriptedCall({LOCAL: [failing(b"one ")]})
    seen: list[bytes] = []
    with pytest.raises(Crashed):
        await bench.read_into(seen, call, fallback(LOCAL, CLOUD))
    assert seen == [b"one "]
    assert call.names() == ["small"]
    assert not call.asked[0].keep_text
    assert bench.told() == ["*primary small Crashed"]


async def test_with_resume_the_next_goes_on_where_a_stream_broke_off() -> None:
    bench = quick()
    usage = Usage(prompt_tokens=5, completion_tokens=2)
    call = ScriptedCall(
        {
            LOCAL: [failing(b"Once ", b"upon ")],
            CLOUD: [Turn(frames=(b"a ", b"time"), usage=usage, finish_reason="length")],
        }
    )
    plan = fallback(LOCAL, CLOUD, resume=True)
    async with bench.dispatcher.open(call, plan, bench.journal) as answer:
        seen = []
        async for frame in answer.frames:
            seen.append(frame)
            if frame == b"a ":
                assert call.open_now() == [CLOUD], "the first one's slot is free"
        assert answer.measured.finish_reason == "length"
        assert answer.measured.usage == usage
    assert b"".join(seen) == b"Once upon a time"
    assert call.asked[1].goes_on_from == "Once upon "
    assert bench.told() == ["*primary small Crashed", "*resume big"]
    assert bench.journal.attempts()[0].finish_reason is None
    only_this_task()


async def test_a_stream_that_breaks_off_twice_is_gone_on_with_from_all_that_was_said() -> None:
    bench = quick()
    call = ScriptedCall(
        {
            LOCAL: [failing(b"Once ")],
            CLOUD: [failing(b"upon ", error=GONE)],
            SPARE: [Turn(frames=(b"a time",))],
        }
    )
    answer = await bench.read(call, fallback(LOCAL, CLOUD, SPARE, resume=True))
    assert answer == b"Once upon a time"
    assert [each.goes_on_from for each in call.asked] == [None, "Once ", "Once upon "]
    assert bench.told() == ["*primary small Crashed", "*resume big Unreachable", "*resume big"]


async def test_what_was_gone_on_with_inside_is_known_outside() -> None:
    inner = fallback(LOCAL, CLOUD, resume=True)
    plan = FallbackPlan(plans=(inner, ask(SPARE)), resume=True)
    call = ScriptedCall(
        {
            LOCAL: [failing(b"Once ")],
            CLOUD: [failing(b"upon ", error=GONE)],
            SPARE: [Turn(frames=(b"a time",))],
        }
    )
    assert await quick().read(call, plan) == b"Once upon a time"
    assert [each.goes_on_from for each in call.asked] == [None, "Once ", "Once upon "]


async def test_who_cannot_go_on_is_passed_over() -> None:
    bench = quick()
    call = ScriptedCall({LOCAL: [failing(b"Once ")], OTHER: [Turn(error=FULL)]})
    answer = await bench.read(call, fallback(LOCAL, OTHER, CLOUD, resume=True))
    assert answer == b"Once one two three"
    assert bench.told() == ["*primary small Crashed", "resume other Overloaded", "*resume big"]


async def test_when_nobody_can_go_on_the_reader_gets_the_first_error() -> None:
    bench = quick()
    call = ScriptedCall({LOCAL: [failing(b"Once ")], CLOUD: [Turn(resumable=False)]})
    with pytest.raises(Crashed):
        await bench.read(call, fallback(LOCAL, CLOUD, resume=True))
    assert bench.told() == ["*primary small Crashed", "resume big Unsupported"]
    assert call.open_now() == []


async def test_a_text_that_is_finished_is_not_gone_on_with() -> None:
    """Only the end mark was missing: what came now would stand behind the end."""

    class Finished(ScriptedCall):
        async def _frames(self, turn, measured):  # type: ignore[no-untyped-def,override]
            async for frame in super()._frames(turn, measured):
                measured.finish_reason = "stop"
                yield frame

    call = Finished({LOCAL: [failing(b"Once.")]})
    with pytest.raises(Crashed):
        await quick().read(call, fallback(LOCAL, CLOUD, resume=True))
    assert call.names() == ["small"]


async def test_a_break_for_a_reason_that_is_not_named_is_told() -> None:
    call = ScriptedCall({LOCAL: [failing(b"Once ")]})
    plan = fallback(LOCAL, CLOUD, on=frozenset({"timeout"}), resume=True)
    with pytest.raises(Crashed):
        await quick().read(call, plan)
    assert call.names() == ["small"]


async def test_the_last_target_keeps_no_text_as_nobody_could_go_on() -> None:
    call = ScriptedCall({LOCAL: [Turn(error=FULL)]})
    await quick().read(call, fallback(LOCAL, CLOUD, resume=True))
    assert [each.keep_text for each in call.asked] == [True, False]


async def test_a_fallback_inside_one_that_resumes_keeps_its_text() -> None:
    inner = fallback(LOCAL, CLOUD)
    plan = FallbackPlan(plans=(inner, ask(SPARE)), resume=True)
    call = ScriptedCall({LOCAL: [Turn(error=FULL)], CLOUD: [failing(b"Once ", error=GONE)]})
    assert await quick().read(call, plan) == b"Once one two three"
    assert [each.target for each in call.asked] == [LOCAL, CLOUD, SPARE]


async def test_a_hang_up_while_going_on_ends_all() -> None:
    bench = quick()
    call = ScriptedCall(
        {LOCAL: [failing(b"Once ")], CLOUD: [Turn(frames=(b"upon ", asyncio.Event()))]}
    )
    task = bench.start(call, fallback(LOCAL, CLOUD, resume=True))
    await settle()
    assert call.open_now() == [CLOUD]
    task.cancel()
    await asyncio.sleep(0)
    assert task.cancelled()
    assert call.open_now() == []
    assert bench.told() == ["*primary small Crashed", "*resume big Cancelled"]
