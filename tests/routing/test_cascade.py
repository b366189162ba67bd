"""Cascades: which side answers, when that is decided, and what is left behind."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from reshore.config import RoutingConfig
from reshore.errors import (
    ContextTooLong,
    Crashed,
    Overloaded,
    RequestError,
    ReshoreError,
    Unreachable,
    Unsupported,
)
from reshore.routing.cascade import open_cascade
from reshore.routing.dispatch import Dispatcher
from reshore.routing.plan import CascadePlan, FallbackPlan
from reshore.routing.policy import CHECKS, DEFAULT_CHECKS
from reshore.testing import settle
from reshore.types import FinishReason, Sampling, TokenLogprob
from tests.routing.dispatching import Bench, only_this_task
from tests.routing.drafted import QUESTION, DraftedCall, Script
from tests.routing.scripted import CLOUD, LOCAL, OTHER, Turn, ask

PLAN = CascadePlan(local=LOCAL, cloud=ask(CLOUD), checks=DEFAULT_CHECKS)
AGREEING = replace(PLAN, checks=("agreement",))
GONE = Unreachable("no connection", backend="openai")
REFUSAL = "I'm sorry, but I can't help with that."
CLOUD_TEXT = b"one two three"


def cascading() -> Bench:
    bench = Bench()
    bench.dispatcher = Dispatcher(
        RoutingConfig(retries=0), cascade=open_cascade, clock=bench.clock, chance=lambda: 1.0
    )
    return bench


def drafting(*scripts: Script, stream: bool = True, cloud: Turn | None = None) -> DraftedCall:
    drafts = {LOCAL: list(scripts)}
    return DraftedCall({CLOUD: [cloud or Turn()]}, stream=stream, drafts=drafts)


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_passes_is_kept(stream: bool) -> None:
    bench, draft = cascading(), Script("Forty-two.", "stop")
    call = drafting(draft, stream=stream)
    assert await bench.read(call, PLAN) == b"Forty-two."
    assert bench.told() == ["*primary small"]
    assert bench.journal.notes == ["kept: checks passed"]
    assert call.asked == []
    assert draft.state == "left"
    only_this_task()


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_fails_a_check_is_escalated(stream: bool) -> None:
    bench = cascading()
    call = drafting(Script("Once upon", "length"), stream=stream, cloud=Turn(stream=stream))
    assert await bench.read(call, PLAN) == CLOUD_TEXT
    assert bench.told() == ["primary small", "*escalate big"]
    assert bench.journal.notes == ["escalated: finish (cut off by its length)"]
    only_this_task()


async def test_a_streaming_client_gets_nothing_before_the_side_is_decided() -> None:
    bench, draft = cascading(), Script("Forty")
    seen: list[bytes] = []
    task = asyncio.create_task(bench.read_into(seen, drafting(draft), PLAN))
    await bench.clock.advance(9)
    assert seen == []
    draft.say("-two.")
    draft.end()
    await settle()
    assert b"".join(seen) == b"Forty-two."
    await task


async def test_a_refusal_escalates_before_it_ends() -> None:
    bench, draft = cascading(), Script(REFUSAL)
    task = bench.start(drafting(draft), PLAN)
    await bench.clock.advance(0.5)
    assert await task == CLOUD_TEXT
    assert bench.told() == ["primary small Cancelled", "*escalate big"]
    assert draft.state == "left"
    assert "refusal" in bench.journal.notes[0]
    assert "sorry" in bench.journal.notes[0]


async def test_wrong_arithmetic_escalates_before_the_end() -> None:
    bench, draft = cascading(), Script("3 * 4 = 13\nThen ")
    task = bench.start(drafting(draft, stream=False), PLAN)
    await bench.clock.advance(0.5)
    assert await task == CLOUD_TEXT


async def test_what_is_late_is_escalated() -> None:
    bench, draft = cascading(), Script("Let me think")
    call = drafting(draft)
    task = bench.start(call, replace(PLAN, budget_ms=2000))
    await bench.clock.advance(1.9)
    assert call.asked == []
    await bench.clock.advance(0.2)
    assert await task == CLOUD_TEXT
    assert bench.journal.notes == ["escalated: not decided within 2 s"]


async def test_what_is_late_is_kept_where_the_plan_says_so() -> None:
    bench, draft = cascading(), Script("Let me")
    seen: list[bytes] = []
    plan = replace(PLAN, budget_ms=2000, late="local")
    task = asyncio.create_task(bench.read_into(seen, drafting(draft), plan))
    await bench.clock.advance(2.1)
    assert seen == [b"Let me"]
    draft.say(" think.")
    draft.end()
    await task
    assert seen == [b"Let me", b" think."]
    assert bench.told() == ["*primary small"]
    assert bench.journal.notes == ["kept: nothing against it in 2 s"]


async def test_late_and_unlikely_is_escalated_though_late_answers_are_kept() -> None:
    bench, draft = cascading(), Script("Let me")
    draft.logprobs = (TokenLogprob(token="a", logprob=-3.0),) * 20
    plan = replace(PLAN, checks=("logprob",), budget_ms=2000, late="local")
    task = bench.start(drafting(draft), plan)
    await bench.clock.advance(2.1)
    assert await task == CLOUD_TEXT
    assert draft.asked_logprobs
    assert bench.journal.notes[0].startswith("escalated: logprob")


async def test_a_whole_reply_has_no_budget() -> None:
    bench, draft = cascading(), Script("Let me")
    task = bench.start(drafting(draft, stream=False), replace(PLAN, budget_ms=100))
    await bench.clock.advance(100)
    assert not task.done()
    draft.end()
    assert await task == b"Let me"


async def test_a_model_that_is_still_loading_is_late_too() -> None:
    bench, draft = cascading(), Script("Hm")
    draft.may_open.clear()
    task = bench.start(drafting(draft), replace(PLAN, budget_ms=2000))
    await bench.clock.advance(2.1)
    assert await task == CLOUD_TEXT
    only_this_task()


async def test_a_late_model_that_is_loading_is_waited_for_where_the_plan_says_so() -> None:
    bench, draft = cascading(), Script("Hm", "stop")
    draft.may_open.clear()
    call = drafting(draft)
    task = bench.start(call, replace(PLAN, budget_ms=2000, late="local"))
    await bench.clock.advance(60)
    assert not task.done()
    draft.may_open.set()
    assert await task == b"Hm"
    assert call.asked == []


@pytest.mark.parametrize(
    "error",
    [
        Crashed("died", model="small"),
        Overloaded("full", retry_after_s=9),
        Unsupported("n above 1"),
        ContextTooLong(prompt_tokens=9, context_length=8),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_local_side_that_cannot_answer_is_escalated(error: Exception) -> None:
    bench, draft = cascading(), Script()
    draft.opening_error = error
    assert await bench.read(drafting(draft), PLAN) == CLOUD_TEXT
    name = type(error).__name__
    assert bench.told() == [f"primary small {name}", "*escalate big"]
    assert bench.journal.notes == [f"escalated: no local answer ({name})"]


async def test_a_request_at_fault_is_refused() -> None:
    bench, draft = cascading(), Script()
    draft.opening_error = RequestError("bad")
    call = drafting(draft)
    with pytest.raises(RequestError, match="bad"):
        await bench.read(call, PLAN)
    assert call.asked == []
    only_this_task()


async def test_a_draft_that_breaks_off_is_escalated() -> None:
    bench, draft = cascading(), Script("Let me")
    draft.fail(Crashed("died", model="small"))
    assert await bench.read(drafting(draft), PLAN) == CLOUD_TEXT
    assert bench.told() == ["primary small Crashed", "*escalate big"]


@pytest.mark.parametrize("stream", [True, False])
async def test_the_local_answer_stands_in_for_a_cloud_that_fails(stream: bool) -> None:
    bench = cascading()
    call = drafting(Script("Once upon", "length"), stream=stream, cloud=Turn(error=GONE))
    assert await bench.read(call, PLAN) == b"Once upon"
    assert bench.told() == ["*primary small", "escalate big Unreachable"]
    (note,) = bench.journal.notes
    assert note.startswith("escalated: finish")
    assert note.endswith("the cloud failed (Unreachable), the local answer is kept")
    only_this_task()


async def test_a_whole_reply_of_the_cloud_that_breaks_off_is_stood_in_for() -> None:
    bench = cascading()
    cloud = Turn(frames=(b"one ", GONE), stream=False)
    call = drafting(Script("Once upon", "length"), stream=False, cloud=cloud)
    assert await bench.read(call, PLAN) == b"Once upon"
    assert [each.state for each in call.asked] == ["left"]


async def test_an_answer_that_is_still_written_stands_in_as_well() -> None:
    bench, draft = cascading(), Script(REFUSAL)
    cloud = Turn(error=GONE, gate=asyncio.Event())
    task = bench.start(drafting(draft, cloud=cloud), PLAN)
    await bench.clock.advance(0.5)
    assert draft.state == "open"
    assert cloud.gate is not None
    cloud.gate.set()
    await settle()
    draft.say(" Ask me something else.")
    draft.end()
    assert await task == f"{REFUSAL} Ask me something else.".encode()


async def test_a_draft_that_is_still_loading_stands_in_when_it_is_there() -> None:
    bench, draft = cascading(), Script("Hm", "stop")
    draft.may_open.clear()
    task = bench.start(drafting(draft, cloud=Turn(error=GONE)), replace(PLAN, budget_ms=1000))
    await bench.clock.advance(1.1)
    assert not task.done()
    draft.may_open.set()
    assert await task == b"Hm"


async def test_when_both_sides_fail_the_more_useful_error_is_told() -> None:
    bench, draft = cascading(), Script()
    draft.opening_error = Overloaded("full", retry_after_s=9)
    with pytest.raises(Overloaded):
        await bench.read(drafting(draft, cloud=Turn(error=GONE)), PLAN)
    only_this_task()


async def test_an_ended_draft_holds_no_slot_while_the_cloud_is_asked() -> None:
    bench, draft = cascading(), Script("Once upon", "length")
    cloud = Turn(gate=asyncio.Event())
    task = bench.start(drafting(draft, cloud=cloud), PLAN)
    await settle()
    assert draft.state == "left"
    assert cloud.gate is not None
    cloud.gate.set()
    assert await task == CLOUD_TEXT


@pytest.mark.parametrize("when", ["loading", "writing", "comparing", "escalating", "reading"])
async def test_a_client_that_hangs_up_ends_everything(when: str) -> None:
    bench, draft, second = cascading(), Script("Let me"), Script("Let me")
    gate = asyncio.Event()
    call = drafting(draft, second, cloud=Turn(gate=gate))
    plan = replace(PLAN, checks=("refusal", "agreement"), budget_ms=2000)
    if when == "loading":
        draft.may_open.clear()
    if when == "comparing":
        draft.end()
    if when == "reading":
        plan = replace(plan, late="local")
    task = bench.start(call, plan)
    await bench.clock.advance(2.1 if when in ("escalating", "reading") else 0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert draft.state == "left"
    assert second.state in ("left", "unasked")
    assert call.open_now() == []
    only_this_task()


async def test_two_samples_that_agree_are_kept() -> None:
    bench = cascading()
    first, second = Script("The answer is 42.", "stop"), Script("#### 42", "stop")
    assert await bench.read(drafting(first, second), AGREEING) == b"The answer is 42."
    assert bench.told() == ["*primary small", "check small"]
    assert first.asked_temperature is None
    assert second.asked_temperature == 0.7


async def test_two_samples_that_differ_are_escalated() -> None:
    bench = cascading()
    first, second = Script("The answer is 42.", "stop"), Script("#### 43", "stop")
    assert await bench.read(drafting(first, second), AGREEING) == CLOUD_TEXT
    assert bench.told() == ["primary small", "check small", "*escalate big"]
    assert bench.journal.notes == ["escalated: agreement (two answers differ)"]


async def test_a_second_sample_is_as_free_as_the_client_wants_it() -> None:
    bench, first, second = cascading(), Script("42", "stop"), Script("42", "stop")
    first.request = replace(QUESTION, sampling=Sampling(temperature=1.1))
    await bench.read(drafting(first, second), AGREEING)
    assert second.asked_temperature == 1.1


async def test_another_model_is_asked_as_the_client_asks() -> None:
    bench, first, second = cascading(), Script("42", "stop"), Script("42", "stop")
    call = drafting(first)
    call.drafts[OTHER] = [second]
    await bench.read(call, replace(AGREEING, agree_with=OTHER))
    assert bench.told() == ["*primary small", "check other"]
    assert second.asked_temperature is None


async def test_a_second_opinion_that_fails_says_nothing() -> None:
    bench, second = cascading(), Script()
    second.opening_error = Overloaded("full", retry_after_s=1)
    call = drafting(Script("42", "stop"), second)
    assert await bench.read(call, AGREEING) == b"42"
    assert bench.told() == ["*primary small", "check small Overloaded"]


async def test_a_failed_check_does_not_wait_for_the_second_opinion() -> None:
    bench, second = cascading(), Script("never")
    plan = replace(PLAN, checks=("finish", "agreement"))
    call = drafting(Script("Once", "length"), second)
    assert await bench.read(call, plan) == CLOUD_TEXT
    assert second.state == "left"
    assert bench.told() == ["primary small", "check small Cancelled", "*escalate big"]


async def test_the_second_sample_may_wait_for_the_slot_of_the_first() -> None:
    """With one slot the second is admitted when the first has left, and that must not wait."""
    bench, first, second = cascading(), Script("42"), Script("42", "stop")
    second.may_open.clear()
    task = bench.start(drafting(first, second, stream=False), AGREEING)
    await settle()
    first.end()
    await settle()
    assert first.state == "left"
    second.may_open.set()
    assert await task == b"42"


async def test_a_late_second_opinion_is_not_waited_for() -> None:
    bench = cascading()
    call = drafting(Script("42", "stop"), Script("4"))
    task = bench.start(call, replace(AGREEING, budget_ms=2000))
    await bench.clock.advance(2.1)
    assert await task == CLOUD_TEXT
    assert bench.journal.notes == ["escalated: not decided within 2 s"]


async def test_the_escalation_is_any_plan() -> None:
    bench = cascading()
    cloud = FallbackPlan(plans=(ask(CLOUD), ask(OTHER)))
    call = drafting(Script("Once", "length"), cloud=Turn(error=GONE))
    assert await bench.read(call, replace(PLAN, cloud=cloud)) == CLOUD_TEXT
    assert bench.told() == ["primary small", "escalate big Unreachable", "*fallback other"]


async def test_a_cascade_is_a_part_of_any_plan() -> None:
    bench, draft = cascading(), Script()
    draft.opening_error = Crashed("died", model="small")
    call = drafting(draft, cloud=Turn(error=GONE))
    plan = FallbackPlan(plans=(PLAN, ask(OTHER)))
    assert await bench.read(call, plan) == CLOUD_TEXT
    assert bench.told() == ["primary small Crashed", "escalate big Unreachable", "*fallback other"]


async def test_leaving_early_ends_a_late_answer() -> None:
    bench, draft = cascading(), Script("Let me")
    plan = replace(PLAN, budget_ms=1000, late="local")

    async def leave() -> None:
        async with bench.dispatcher.open(drafting(draft), plan, bench.journal):
            pass

    task = asyncio.create_task(leave())
    await bench.clock.advance(1.1)
    await task
    assert draft.state == "left"
    assert bench.told() == ["*primary small Cancelled"]
    only_this_task()


async def test_an_error_amid_a_late_answer_is_told() -> None:
    bench, draft = cascading(), Script("Let me")
    plan = replace(PLAN, budget_ms=1000, late="local")
    task = bench.start(drafting(draft), plan)
    await bench.clock.advance(1.1)
    draft.fail(Crashed("died", model="small"))
    with pytest.raises(ReshoreError, match="died"):
        await task
    assert bench.told() == ["*primary small Crashed"]
    only_this_task()


async def test_an_answer_that_is_just_being_written_down_is_taken_whole() -> None:
    bench, draft = cascading(), Script("Let me", "stop")
    draft.may_end.clear()
    task = bench.start(drafting(draft), replace(PLAN, budget_ms=1000, late="local"))
    await bench.clock.advance(2)
    assert not task.done()
    draft.may_end.set()
    assert await task == b"Let me"
    assert bench.told() == ["*primary small"]


async def test_a_bug_in_a_draft_is_logged_and_escalated(caplog: pytest.LogCaptureFixture) -> None:
    bench, draft = cascading(), Script("Let me")
    draft.fail(RuntimeError("a bug"))
    assert await bench.read(drafting(draft), PLAN) == CLOUD_TEXT
    assert "nobody thought of" in caplog.text


WORDS = ("Let me think. ", "3 * 4 = 13\n", REFUSAL, "The answer is 42. ")
STEPS = st.sampled_from((*WORDS, "stop", "length", "open", "die", "cloud", "cancel"))


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 1), STEPS, st.sampled_from((0.0, 0.3, 2.0))), max_size=9
    ),
    stream=st.booleans(),
    late=st.sampled_from(("local", "cloud")),
    checks=st.sets(st.sampled_from(CHECKS)),
    loading=st.booleans(),
    cloud_fails=st.booleans(),
)
def test_whatever_happens_there_is_one_answer_and_nothing_is_left(
    steps: list[tuple[int, str, float]],
    stream: bool,
    late: Any,
    checks: set[str],
    loading: bool,
    cloud_fails: bool,
) -> None:
    async def scene() -> None:
        bench, scripts = cascading(), [Script(), Script()]
        if loading:
            scripts[0].may_open.clear()
        gate = asyncio.Event()
        cloud = Turn(gate=gate, error=GONE if cloud_fails else None)
        call = drafting(*scripts, stream=stream, cloud=cloud)
        plan = replace(PLAN, checks=tuple(sorted(checks)), budget_ms=1000, late=late)
        task = bench.start(call, plan)
        for which, step, pause_s in steps:
            _do(step, scripts[which], gate, task)
            await bench.clock.advance(pause_s)
        gate.set()
        for script in scripts:
            script.may_open.set()
            if script.finish_reason is None:
                script.end()
        await bench.clock.advance(5)
        _check(task, scripts, bench)
        assert call.open_now() == []

    asyncio.run(scene())


def _do(step: str, script: Script, gate: asyncio.Event, task: asyncio.Task[bytes]) -> None:
    match step:
        case "stop" | "length":
            script.end(cast(FinishReason, step))
        case "open":
            script.may_open.set()
        case "die":
            script.fail(Crashed("died", model="small"))
        case "cloud":
            gate.set()
        case "cancel":
            task.cancel()
        case _ if script.finish_reason is None:
            script.say(step)


def _check(task: asyncio.Task[bytes], scripts: list[Script], bench: Bench) -> None:
    assert task.done()
    assert all(script.state in ("left", "unasked") for script in scripts)
    only_this_task()
    answered = [each for each in bench.journal.attempts() if each.answered]
    if task.cancelled():
        return
    error = task.exception()
    if error is None:
        assert len(answered) == 1
        assert task.result() in (CLOUD_TEXT, scripts[0].text.encode())
        assert answered[0].error is None
    else:
        assert isinstance(error, ReshoreError)
