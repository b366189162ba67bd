"""One target: what is tried again, with which key, and what the breaker learns of it."""

from __future__ import annotations

import asyncio

import pytest

from reshore.backends.answer import Answer
from reshore.config import RoutingConfig, Seconds
from reshore.errors import (
    BackendTimeout,
    BadReply,
    CircuitOpen,
    Crashed,
    Overloaded,
    ReshoreError,
    Unreachable,
    UpstreamStatus,
)
from reshore.testing import settle
from reshore.types import Usage
from tests.routing.dispatching import Bench, fail, only_this_task
from tests.routing.scripted import CLOUD, LOCAL, ScriptedCall, Turn, ask


def refused(status: int = 500, **facts: object) -> UpstreamStatus:
    facts.setdefault("retryable", True)
    return UpstreamStatus("no", backend="openai", status=status, **facts)  # type: ignore[arg-type]


GONE = Unreachable("no connection", backend="openai", retryable=True)


async def test_an_answer_is_passed_on_as_it_comes() -> None:
    bench = Bench()
    usage = Usage(prompt_tokens=4, completion_tokens=3)
    call = ScriptedCall({CLOUD: [Turn(usage=usage, status=201)]})
    async with bench.dispatcher.open(call, ask(CLOUD), bench.journal) as answer:
        assert (answer.target, answer.status, answer.stream) == (CLOUD, 201, True)
        assert answer.headers == [(b"content-type", b"text/event-stream")]
        assert [frame async for frame in answer.frames] == [b"one ", b"two ", b"three"]
        assert answer.measured.usage == usage
    [attempt] = bench.journal.attempts()
    assert (attempt.usage, attempt.finish_reason, attempt.status) == (usage, "stop", 201)
    assert bench.told() == ["*primary big"]
    assert call.open_now() == []


async def test_a_plan_with_one_target_needs_no_task() -> None:
    bench = Bench()
    call = ScriptedCall()
    async with bench.dispatcher.open(call, ask(CLOUD), bench.journal) as answer:
        only_this_task()
        async for _ in answer.frames:
            only_this_task()
    assert call.asked[0].task is asyncio.current_task()


async def test_what_may_pass_is_tried_again_after_a_pause() -> None:
    bench = Bench()
    call = ScriptedCall({CLOUD: [Turn(error=GONE), Turn(error=refused(503)), Turn()]})
    task = bench.start(call, ask(CLOUD))
    await bench.clock.advance(0.49)
    assert len(call.asked) == 1
    await bench.clock.advance(0.01)
    assert len(call.asked) == 2
    await bench.clock.advance(1.0)
    assert await task == b"one two three"
    assert bench.told() == [
        "primary big Unreachable",
        "retry big UpstreamStatus",
        "*retry big",
    ]
    assert [each.started_ms for each in bench.journal.attempts()] == pytest.approx([0, 500, 1500])


async def test_when_all_tries_fail_the_last_error_is_told() -> None:
    bench = Bench(chance=0.0)
    errors = [refused(500), refused(502), refused(503)]
    call = ScriptedCall({CLOUD: [Turn(error=error) for error in errors]})
    with pytest.raises(UpstreamStatus) as told:
        await bench.read(call, ask(CLOUD))
    assert told.value is errors[-1]
    assert bench.told()[0] == "primary big UpstreamStatus"
    assert len(call.asked) == 3


async def test_what_the_upstream_calls_final_is_not_tried_again() -> None:
    bench = Bench()
    call = ScriptedCall({CLOUD: [Turn(error=refused(500, retryable=False))]})
    with pytest.raises(UpstreamStatus):
        await bench.read(call, ask(CLOUD))
    assert len(call.asked) == 1


async def test_retry_after_is_waited_for() -> None:
    bench = Bench(chance=0.0)
    call = ScriptedCall({CLOUD: [Turn(error=refused(429, retry_after_s=7.0)), Turn()]})
    task = bench.start(call, ask(CLOUD))
    await bench.clock.advance(6.9)
    assert len(call.asked) == 1
    await bench.clock.advance(0.2)
    assert await task == b"one two three"


@pytest.mark.parametrize("status", [401, 429])
async def test_a_key_that_is_used_up_gives_way_to_the_next_at_once(status: int) -> None:
    bench = Bench(keys={"openai": 3})
    full = refused(status, retryable=status == 429, retry_after_s=60.0)
    call = ScriptedCall({CLOUD: [Turn(error=full), Turn(error=full), Turn()]})
    assert await bench.read(call, ask(CLOUD)) == b"one two three"
    assert [each.key for each in call.asked] == [0, 1, 2]
    assert bench.dispatcher.breakers() == ()


async def test_with_all_keys_used_up_the_last_refusal_counts() -> None:
    bench = Bench(keys={"openai": 2})
    call = ScriptedCall({CLOUD: [Turn(error=refused(429, retry_after_s=60.0))]})
    with pytest.raises(UpstreamStatus):
        await bench.read(call, ask(CLOUD))
    assert [each.key for each in call.asked] == [0, 1]
    [state] = bench.dispatcher.breakers()
    assert state.failures == 1


async def answered(bench: Bench, status: int, **facts: object) -> None:
    """A request of its own, whose answer is an error."""
    bench.fresh_journal()
    fault = refused(status, **facts)
    call = ScriptedCall({CLOUD: [Turn(status=status, fault=fault, frames=(b"no",))]})
    assert await bench.read(call, ask(CLOUD)) == b"no"
    assert len(call.asked) == 1
    assert bench.journal.attempts()[0].answered


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_an_answer_that_is_an_error_counts_as_one(status: int) -> None:
    bench = Bench()
    for _ in range(5):
        await answered(bench, status)
    with pytest.raises(CircuitOpen):
        await bench.read(ScriptedCall(), ask(CLOUD))


async def test_an_error_answered_to_the_probe_rests_again_as_long_as_it_asks() -> None:
    bench = Bench()
    for _ in range(5):
        await answered(bench, 503)
    await bench.clock.advance(10)
    await answered(bench, 503, retry_after_s=45.0)
    [state] = bench.dispatcher.breakers()
    assert (state.state, state.rest_s) == ("open", 45.0)


async def test_an_answered_error_of_the_request_says_that_the_target_lives() -> None:
    bench = Bench()
    for _ in range(5):
        await answered(bench, 500)
    await bench.clock.advance(10)
    await answered(bench, 404, retryable=False)
    assert bench.dispatcher.breakers() == ()


async def test_a_probe_may_go_through_all_keys() -> None:
    bench = Bench(RoutingConfig(retries=0), keys={"openai": 2})
    broken = ScriptedCall({CLOUD: [Turn(error=GONE)]})
    for _ in range(5):
        await fail(bench, broken, CLOUD)
    await bench.clock.advance(10)
    call = ScriptedCall({CLOUD: [Turn(error=refused(429)), Turn()]})
    assert await bench.read(call, ask(CLOUD)) == b"one two three"
    assert bench.dispatcher.breakers() == ()


async def test_an_engine_that_crashes_is_asked_once_more() -> None:
    bench = Bench()
    crash = Crashed("died", model="small")
    call = ScriptedCall({LOCAL: [Turn(error=crash), Turn()]})
    assert await bench.read(call, ask(LOCAL)) == b"one two three"
    assert bench.told() == ["primary small Crashed", "*retry small"]
    call = ScriptedCall({LOCAL: [Turn(error=crash)]})
    with pytest.raises(Crashed):
        await bench.read(call, ask(LOCAL))
    assert len(call.asked) == 2


async def test_a_full_queue_of_ours_is_told_at_once() -> None:
    bench = Bench()
    call = ScriptedCall({LOCAL: [Turn(error=Overloaded("full", retry_after_s=0.1))]})
    with pytest.raises(Overloaded):
        await bench.read(call, ask(LOCAL))
    assert len(call.asked) == 1


async def test_nothing_is_tried_again_after_the_first_byte() -> None:
    bench = Bench()
    call = ScriptedCall({CLOUD: [Turn(frames=(b"one ", GONE))]})
    seen = []
    with pytest.raises(Unreachable):
        async with bench.dispatcher.open(call, ask(CLOUD), bench.journal) as answer:
            seen += [frame async for frame in answer.frames]
    assert len(call.asked) == 1
    assert bench.told() == ["*primary big Unreachable"]
    assert bench.dispatcher.breakers()[0].failures == 1


async def test_an_outage_is_not_made_worse_by_retries() -> None:
    """After the reserve, one retry for every five requests."""
    config = RoutingConfig(retry_budget=0.2, breaker_failures=10_000, breaker_requests=10_000)
    bench = Bench(config, chance=0.0)
    call = ScriptedCall({CLOUD: [Turn(error=refused(503))]})
    for _ in range(200):
        await fail(bench, call, CLOUD)
    assert 200 + 40 <= len(call.asked) <= 200 + 40 + 10


async def test_an_upstream_that_fails_again_and_again_is_not_asked() -> None:
    bench = Bench(RoutingConfig(retries=0, breaker_failures=3))
    call = ScriptedCall({CLOUD: [Turn(error=GONE)]})
    for _ in range(3):
        await fail(bench, call, CLOUD)
    bench.fresh_journal()
    with pytest.raises(CircuitOpen, match="is not asked for 10 s"):
        await bench.read(call, ask(CLOUD))
    assert len(call.asked) == 3
    assert bench.told() == ["primary big CircuitOpen"]


async def test_a_breaker_that_opens_meanwhile_does_not_hide_why() -> None:
    bench = Bench(RoutingConfig(breaker_failures=2), chance=0.0)
    call = ScriptedCall({CLOUD: [Turn(error=GONE)]})
    with pytest.raises(Unreachable) as told:
        await bench.read(call, ask(CLOUD))
    assert told.value is GONE
    assert bench.told()[-1] == "retry big CircuitOpen"
    assert len(call.asked) == 2


async def test_one_probe_is_let_through_and_ends_the_rest() -> None:
    bench = Bench(RoutingConfig(retries=0, breaker_failures=1))
    await fail(bench, ScriptedCall({CLOUD: [Turn(error=GONE)]}), CLOUD)
    await bench.clock.advance(10)
    gate = asyncio.Event()
    call = ScriptedCall({CLOUD: [Turn(gate=gate)]})
    probe = bench.start(call, ask(CLOUD))
    await settle()
    await fail(bench, call, CLOUD)
    assert len(call.asked) == 1
    gate.set()
    assert await probe == b"one two three"
    assert await bench.read(call, ask(CLOUD)) == b"one two three"


@pytest.mark.parametrize("reply", [refused(400, retryable=False), None])
async def test_a_probe_that_is_answered_in_any_way_ends_the_rest(
    reply: ReshoreError | None,
) -> None:
    bench = Bench(RoutingConfig(retries=0, breaker_failures=1))
    await fail(bench, ScriptedCall({CLOUD: [Turn(error=GONE)]}), CLOUD)
    await bench.clock.advance(10)
    call = ScriptedCall({CLOUD: [Turn(error=reply), Turn()]})
    if reply is None:
        await bench.read(call, ask(CLOUD))
    else:
        await fail(bench, call, CLOUD)
    assert await bench.read(call, ask(CLOUD)) == b"one two three"


async def test_a_probe_whose_client_hangs_up_makes_room_for_the_next() -> None:
    bench = Bench(RoutingConfig(retries=0, breaker_failures=1))
    await fail(bench, ScriptedCall({CLOUD: [Turn(error=GONE)]}), CLOUD)
    await bench.clock.advance(10)
    call = ScriptedCall({CLOUD: [Turn(gate=asyncio.Event()), Turn()]})
    probe = bench.start(call, ask(CLOUD))
    await settle()
    probe.cancel()
    await asyncio.wait([probe])
    assert await bench.read(call, ask(CLOUD)) == b"one two three"


async def test_requests_that_are_wrong_do_not_open_the_breaker() -> None:
    bench = Bench(RoutingConfig(breaker_failures=1))
    for status in (400, 401, 404, 422):
        error = refused(status, retryable=False)
        await fail(bench, ScriptedCall({CLOUD: [Turn(error=error)]}), CLOUD)
    assert bench.dispatcher.breakers() == ()


async def test_the_local_side_has_no_breaker() -> None:
    bench = Bench(RoutingConfig(breaker_failures=1, retries=0))
    call = ScriptedCall({LOCAL: [Turn(error=Crashed("died", model="small"))]})
    await fail(bench, call, LOCAL)
    await fail(bench, call, LOCAL)
    assert len(call.asked) == 2


@pytest.mark.parametrize("where", ["before it begins", "in a pause", "between frames"])
async def test_a_hang_up_ends_the_attempt_within_one_turn(where: str) -> None:
    bench = Bench()
    turns = {
        "before it begins": [Turn(gate=asyncio.Event())],
        "in a pause": [Turn(error=GONE), Turn()],
        "between frames": [Turn(frames=(b"one ", asyncio.Event()), usage=None)],
    }
    call = ScriptedCall({CLOUD: turns[where]})
    task = bench.start(call, ask(CLOUD))
    await settle()
    assert not task.done()
    task.cancel()
    await asyncio.sleep(0)
    assert call.open_now() == []
    assert task.cancelled()
    last = bench.journal.attempts()[-1]
    assert last.error == ("Unreachable" if where == "in a pause" else "Cancelled")
    only_this_task()


async def test_who_leaves_without_reading_leaves_nothing_behind() -> None:
    bench = Bench()
    call = ScriptedCall()
    async with bench.dispatcher.open(call, ask(CLOUD), bench.journal) as answer:
        await anext(answer.frames)
    assert call.open_now() == []
    assert bench.told() == ["*primary big Cancelled"]


async def test_an_error_of_the_reader_is_none_of_the_backend() -> None:
    bench = Bench()
    call = ScriptedCall()

    async def send_on() -> None:
        async with bench.dispatcher.open(call, ask(CLOUD), bench.journal) as answer:
            await anext(answer.frames)
            raise OSError("the client's socket")

    with pytest.raises(OSError, match="client"):
        await send_on()
    assert bench.told() == ["*primary big Cancelled"]
    assert bench.dispatcher.breakers() == ()


class Limited(ScriptedCall):
    """Its time limit is noticed when its context is left."""

    def open(self, target, *, key=0, keep_text=False):  # type: ignore[no-untyped-def,override]
        inner = super().open(target, key=key, keep_text=keep_text)

        class Context:
            async def __aenter__(self) -> Answer:
                return await inner.__aenter__()

            async def __aexit__(self, *what: object) -> None:
                await inner.__aexit__(None, None, None)
                raise BackendTimeout("600 s are over", backend="openai")

        return Context()


async def test_a_limit_that_is_noticed_on_leaving_is_the_attempts_error() -> None:
    bench = Bench()
    call = Limited()

    async def listen() -> None:
        async with bench.dispatcher.open(call, ask(CLOUD), bench.journal) as answer:
            await anext(answer.frames)

    with pytest.raises(BackendTimeout):
        await listen()
    assert bench.told() == ["*primary big BackendTimeout"]


async def test_a_fault_of_ours_is_noted_and_passed_on() -> None:
    bench = Bench()
    call = ScriptedCall({CLOUD: [Turn(error=KeyError("bug"))]})
    with pytest.raises(KeyError):
        await bench.read(call, ask(CLOUD))
    assert bench.told() == ["primary big KeyError"]
    assert len(call.asked) == 1


async def test_a_reply_that_breaks_the_protocol_is_not_asked_for_again() -> None:
    bench = Bench()
    call = ScriptedCall({CLOUD: [Turn(error=BadReply("html", backend="openai"))]})
    with pytest.raises(BadReply):
        await bench.read(call, ask(CLOUD))
    assert len(call.asked) == 1


async def test_time_for_retries_is_bounded() -> None:
    bench = Bench(RoutingConfig(retries=9, retry_total_s=Seconds(3)))
    call = ScriptedCall({CLOUD: [Turn(error=GONE)]})
    task = bench.start(call, ask(CLOUD))
    await bench.clock.advance(3)
    with pytest.raises(Unreachable):
        await task
    assert len(call.asked) == 3  # after 0.5 s and 1 s; 2 s more would be too late
