"""Dispatch as a whole: mirrors, cascades, and any plan under any trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reshore.backends.answer import Call, Measured, Spoken
from reshore.clock import SystemClock
from reshore.config import RoutingConfig
from reshore.errors import (
    BackendTimeout,
    ContextTooLong,
    Crashed,
    Overloaded,
    RequestError,
    ReshoreError,
    Unreachable,
    UpstreamStatus,
)
from reshore.routing.dispatch import Dispatcher, Journal
from reshore.routing.plan import (
    REASONS,
    Ask,
    CascadePlan,
    FallbackPlan,
    HedgePlan,
    Plan,
    ShadowPlan,
)
from reshore.routing.sample import Sample
from reshore.testing import MovableClock, settle
from reshore.types import Target
from tests.routing.dispatching import Bench, local_side, only_this_task
from tests.routing.scripted import CLOUD, LOCAL, SPARE, TARGETS, Asked, ScriptedCall, Turn, ask

DIED = Crashed("died", model="small")


@dataclass
class Copies:
    """Stands for the worker that mirrors."""

    compares: bool = False
    taken: list[tuple[Target, str, int]] = field(default_factory=list)
    said: list[Spoken | None] = field(default_factory=list)

    def offer(self, call: Call, mirror: Target, sample: Sample) -> None:
        self.taken.append((mirror, sample.request_id, sample.size_bytes))
        self.said.append(sample.said)


MIRRORED = ShadowPlan(primary=ask(CLOUD), mirror=LOCAL)


async def test_a_copy_is_offered_when_the_client_has_its_answer() -> None:
    copies = Copies()
    bench = Bench(shadows=copies)
    call = ScriptedCall()
    async with bench.dispatcher.open(call, MIRRORED, bench.journal) as answer:
        assert [frame async for frame in answer.frames]
        assert copies.taken == []
    assert copies.taken == [(LOCAL, "req_1", 9)]
    assert call.names() == ["big"]


async def test_nothing_is_kept_of_an_answer_that_is_not_compared() -> None:
    copies, call = Copies(), ScriptedCall()
    await Bench(shadows=copies).read(call, MIRRORED)
    assert [asked.keep_text for asked in call.asked] == [False]
    assert copies.said == [None]


async def test_what_the_client_got_is_kept_where_it_is_compared() -> None:
    copies, call = Copies(compares=True), ScriptedCall()
    await Bench(shadows=copies).read(call, MIRRORED)
    (said,) = copies.said
    assert said is not None
    assert (said.target, said.text, said.finish_reason) == (CLOUD, "one two three", "stop")


async def test_an_answer_of_two_models_is_compared_with_nothing() -> None:
    copies = Copies(compares=True)
    call = ScriptedCall({CLOUD: [Turn(frames=(b"one ", DIED), finish_reason=None)]})
    both = FallbackPlan(plans=(ask(CLOUD), ask(SPARE)), resume=True)
    await Bench(shadows=copies).read(call, ShadowPlan(primary=both, mirror=LOCAL))
    assert copies.said == [None]


@pytest.mark.parametrize(
    "turn", [Turn(error=RequestError("bad")), Turn(frames=(b"one ", DIED))], ids=["at once", "late"]
)
async def test_what_failed_has_no_copy(turn: Turn) -> None:
    copies = Copies()
    with pytest.raises(ReshoreError):
        await Bench(shadows=copies).read(ScriptedCall({CLOUD: [turn]}), MIRRORED)
    assert copies.taken == []


async def test_who_hangs_up_has_no_copy() -> None:
    copies = Copies()
    bench = Bench(shadows=copies)
    task = bench.start(ScriptedCall({CLOUD: [Turn(frames=(b"one ", asyncio.Event()))]}), MIRRORED)
    await settle()
    task.cancel()
    await asyncio.wait([task])
    assert copies.taken == []


async def test_without_a_worker_nothing_is_mirrored() -> None:
    assert await Bench().read(ScriptedCall(), MIRRORED) == b"one two three"


async def test_cascades_are_given_on_with_their_place_in_the_plan() -> None:
    bench = Bench(RoutingConfig(retries=0))
    cascade = CascadePlan(local=LOCAL, cloud=ask(CLOUD), checks=())
    plan = FallbackPlan(plans=(ask(SPARE), cascade))
    call = ScriptedCall({SPARE: [Turn(error=Unreachable("gone", backend="spare"))]})
    assert await bench.read(call, plan) == b"one two three"
    assert bench.told() == ["primary big Unreachable", "*fallback small"]


async def test_a_discarded_part_of_a_plan_did_not_answer() -> None:
    bench = Bench()
    async with bench.dispatcher.carry_out(ScriptedCall(), ask(LOCAL), bench.journal) as answer:
        assert [frame async for frame in answer.frames]
    assert bench.told() == ["primary small"]


async def test_breakers_are_shown() -> None:
    bench = Bench(RoutingConfig(retries=0, breaker_failures=1))
    call = ScriptedCall({CLOUD: [Turn(error=Unreachable("gone", backend="openai"))]})
    with pytest.raises(Unreachable):
        await bench.read(call, ask(CLOUD))
    await bench.clock.advance(4)
    [state] = bench.dispatcher.breakers()
    assert (state.backend, state.model, state.state, state.rest_s) == ("openai", "big", "open", 6)


@pytest.mark.parametrize(
    "plan", [ask(CLOUD), FallbackPlan(plans=(ask(CLOUD), ask(LOCAL)), resume=True)]
)
async def test_who_has_left_gets_no_more_frames(plan: Plan) -> None:
    bench = Bench()
    async with bench.dispatcher.open(ScriptedCall(), plan, bench.journal) as answer:
        assert await anext(answer.frames) == b"one "
    assert await anext(answer.frames, None) is None


class TimeLimited(ScriptedCall):
    """Holds `asyncio.timeout` around its answers, which must be left in the task it was entered."""

    def open(self, target: Target, *, key: int = 0, keep_text: bool = False) -> Any:
        inner = super().open(target, key=key, keep_text=keep_text)

        class Context:
            async def __aenter__(self) -> Any:
                self.limit = asyncio.timeout(3600)
                await self.limit.__aenter__()
                return await inner.__aenter__()

            async def __aexit__(self, *what: Any) -> None:
                try:
                    await inner.__aexit__(*what)
                finally:
                    await self.limit.__aexit__(*what)

        return Context()


@pytest.mark.parametrize(
    "plan",
    [
        ask(CLOUD),
        FallbackPlan(plans=(ask(LOCAL), ask(CLOUD)), resume=True),
        HedgePlan(first=ask(LOCAL), second=ask(CLOUD), after_ms=1),
    ],
    ids=lambda plan: type(plan).__name__,
)
async def test_real_time_limits_around_answers_work_in_every_plan(plan: Plan) -> None:
    journal = Journal(SystemClock())
    dispatcher = Dispatcher(RoutingConfig(), cascade=local_side)
    call = TimeLimited({LOCAL: [Turn(error=Overloaded("full", retry_after_s=1))]})
    async with dispatcher.open(call, plan, journal) as answer:
        assert b"".join([frame async for frame in answer.frames]) == b"one two three"
    only_this_task()


# What may happen, in any combination.

FAULTS: tuple[ReshoreError, ...] = (
    DIED,
    Overloaded("full", retry_after_s=0.5),
    ContextTooLong(prompt_tokens=9, context_length=4),
    RequestError("bad"),
    BackendTimeout("slow", backend="openai"),
    Unreachable("gone", backend="openai", retryable=True),
    UpstreamStatus("no", backend="openai", status=500, retryable=True),
    UpstreamStatus("no", backend="openai", status=429, retryable=True, retry_after_s=2.0),
    UpstreamStatus("no", backend="openai", status=400),
)


@dataclass
class Trouble:
    """What one target does when it is asked once: wait, fail or begin, send, break off."""

    delay_s: float
    fault: ReshoreError | None
    frames: int
    breaks: ReshoreError | None
    gap_s: float
    stream: bool


troubles = st.builds(
    Trouble,
    delay_s=st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.2, 0.2, 1.0, 1e6]),
    fault=st.none() | st.sampled_from(FAULTS),
    frames=st.integers(0, 3),
    breaks=st.none() | st.sampled_from(FAULTS),
    gap_s=st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.3, 0.3, 1e6]),
    stream=st.sampled_from([True, True, False]),
)

reasons = st.just(frozenset(REASONS)) | st.frozensets(st.sampled_from(REASONS), min_size=1)


def around(inner: st.SearchStrategy[Plan]) -> st.SearchStrategy[Plan]:
    """Plans with one more level. What comes often stands twice."""
    fallbacks = st.builds(
        FallbackPlan,
        plans=st.lists(inner, min_size=2, max_size=3).map(tuple),
        on=reasons,
        resume=st.sampled_from([True, True, False]),
    )
    hedges = st.builds(
        HedgePlan, first=inner, second=inner, after_ms=st.sampled_from([0, 100, 500])
    )
    mirrored = st.builds(ShadowPlan, primary=inner, mirror=st.sampled_from(TARGETS))
    cascades = st.builds(CascadePlan, local=st.just(LOCAL), cloud=inner, checks=st.just(()))
    return st.one_of(fallbacks, fallbacks, hedges, mirrored, cascades)


asks: st.SearchStrategy[Plan] = st.sampled_from(TARGETS).map(lambda target: Ask(target=target))
plans: st.SearchStrategy[Plan] = asks | around(asks | asks | around(asks | around(asks)))


class Troubled(ScriptedCall):
    """Frames are `<number of the asking>.<number of the frame>`, so that a mixture shows."""

    def __init__(self, troubles: dict[Target, list[Trouble]], clock: MovableClock) -> None:
        super().__init__()
        self._troubles = {target: list(each) for target, each in troubles.items()}
        self._clock = clock

    def _turn(self, asked: Asked) -> Turn:
        left = self._troubles[asked.target]
        trouble = left.pop(0) if len(left) > 1 else left[0]
        turn = Turn(error=trouble.fault, stream=trouble.stream)
        turn.delay = lambda: self._clock.sleep(trouble.delay_s)
        number = len(self.asked) - 1

        async def frames(measured: Measured) -> AsyncIterator[bytes]:
            for place in range(trouble.frames):
                await self._clock.sleep(trouble.gap_s)
                frame = b"%d.%d " % (number, place)
                if measured.text is not None:
                    measured.text.append(frame.decode())
                yield frame
            if trouble.breaks is not None:
                raise trouble.breaks
            measured.finish_reason = "stop"

        turn.made_frames = frames
        return turn


@settings(max_examples=200, deadline=None)
@given(
    plan=plans,
    troubles=st.fixed_dictionaries(
        {target: st.lists(troubles, min_size=1, max_size=3) for target in TARGETS}
    ),
    hang_up_s=st.none() | st.sampled_from([0.0, 0.05, 0.25, 0.55, 1.3]),
)
def test_any_plan_under_any_trouble(
    plan: Plan, troubles: dict[Target, list[Trouble]], hang_up_s: float | None
) -> None:
    """One coherent answer or one error; nothing is left behind, whenever the client hangs up."""
    asyncio.run(in_any_trouble(plan, troubles, hang_up_s))


breaking = st.builds(
    Trouble,
    delay_s=st.sampled_from([0.0, 0.2]),
    fault=st.none() | st.none() | st.none() | st.just(DIED),
    frames=st.integers(0, 3),
    breaks=st.none() | st.just(DIED),
    gap_s=st.sampled_from([0.0, 0.3]),
    stream=st.just(True),
)


def going_on(inner: st.SearchStrategy[Plan]) -> st.SearchStrategy[Plan]:
    fallbacks = st.builds(
        FallbackPlan, plans=st.lists(inner, min_size=2, max_size=3).map(tuple), resume=st.just(True)
    )
    return fallbacks | st.builds(HedgePlan, first=inner, second=inner, after_ms=st.just(100))


@settings(max_examples=200, deadline=None)
@given(
    plan=going_on(asks | going_on(asks)),
    troubles=st.fixed_dictionaries(
        {target: st.lists(breaking, min_size=1, max_size=3) for target in TARGETS}
    ),
    hang_up_s=st.none() | st.none() | st.sampled_from([0.25, 0.55, 1.3]),
)
def test_streams_that_break_off_again_and_again(
    plan: Plan, troubles: dict[Target, list[Trouble]], hang_up_s: float | None
) -> None:
    """What the client gets is one text, whoever went on with it."""
    asyncio.run(in_any_trouble(plan, troubles, hang_up_s))


async def in_any_trouble(
    plan: Plan, troubles: dict[Target, list[Trouble]], hang_up_s: float | None
) -> None:
    bench = Bench(keys={"openai": 2})
    call = Troubled(troubles, bench.clock)
    seen: list[bytes] = []
    task = asyncio.create_task(bench.read_into(seen, call, plan))
    await bench.clock.advance(60.0 if hang_up_s is None else hang_up_s)
    hung_up = not task.done()
    task.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
    assert task.done(), "a hang-up ends the request within some turns of the loop"
    error: BaseException | None = None
    with suppress(asyncio.CancelledError):
        error = task.exception()
    assert error is None or isinstance(error, ReshoreError)

    only_this_task()
    assert call.open_now() == []
    assert all(each.task is each.left_in for each in call.asked)

    attempts = bench.journal.attempts()
    await bench.clock.advance(5.0)
    assert bench.journal.attempts() == attempts, "every attempt has ended"
    sent = [each for each in attempts if each.error != "CircuitOpen"]
    assert [each.target for each in sent] == [each.target for each in call.asked]
    assert [each.role for each in attempts].count("primary") <= 1

    pieces = [frame.decode().strip().split(".") for frame in seen]
    speakers = list(dict.fromkeys(int(speaker) for speaker, _ in pieces))
    assert pieces == [
        [str(speaker), str(place)]
        for speaker in speakers
        for place in range(sum(piece[0] == str(speaker) for piece in pieces))
    ], "one after the other, each from its beginning"
    assert all(sent[speaker].answered for speaker in speakers)
    if not hung_up and error is None:
        last = [each for each in sent if each.answered][-1]
        assert last.error is None
        assert last.finish_reason == "stop"
    for earlier, later in pairwise(speakers):
        assert sent[earlier].error is not None, "gone on with only after it broke off"
        assert call.asked[later].goes_on_from is not None
    if speakers[1:]:
        said = "".join(
            frame.decode() for frame in seen if not frame.startswith(b"%d." % speakers[-1])
        )
        assert call.asked[speakers[-1]].goes_on_from == said
    if error is not None:
        assert type(error).__name__ in {each.error for each in attempts}
