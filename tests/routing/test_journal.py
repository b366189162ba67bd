"""What is remembered of attempts."""

from __future__ import annotations

import asyncio

from reshore.backends.answer import Answer, Measured
from reshore.errors import Overloaded, UpstreamStatus
from reshore.routing.journal import Journal, Line
from reshore.testing import MovableClock
from reshore.types import Target, Usage
from tests.routing.scripted import CLOUD, LOCAL


async def nothing():
    return
    yield b""


def answer(target: Target, *, stream: bool = True, status: int = 200) -> Answer:
    return Answer(target=target, status=status, headers=[], frames=nothing(), stream=stream)


async def timed(target: Target, *, stream: bool = True) -> tuple[Journal, Line]:
    clock = MovableClock()
    journal = Journal(clock)
    await clock.advance(1.0)
    line = journal.begin("primary", target)
    await clock.advance(0.25)
    line.begun(answer(target, stream=stream))
    await clock.advance(2.0)
    line.end()
    await clock.advance(5.0)
    return journal, line


async def test_times_are_those_of_the_attempt() -> None:
    journal, _ = await timed(CLOUD)
    [attempt] = journal.attempts()
    assert attempt.started_ms == 1000
    assert attempt.ttft_ms == 250
    assert attempt.total_ms == 2250


async def test_a_request_that_arrived_earlier_counts_from_then() -> None:
    clock = MovableClock()
    journal = Journal(clock, started_s=clock.monotonic() - 0.5)
    journal.begin("primary", LOCAL)
    assert journal.attempts()[0].started_ms == 500


async def test_nobody_saw_the_first_token_of_a_whole_reply_from_an_upstream() -> None:
    journal, _ = await timed(CLOUD, stream=False)
    assert journal.attempts()[0].ttft_ms is None
    journal, _ = await timed(LOCAL, stream=False)
    assert journal.attempts()[0].ttft_ms == 250


def test_only_upstreams_have_a_status() -> None:
    journal = Journal(MovableClock())
    for target in (LOCAL, CLOUD):
        journal.begin("primary", target).begun(answer(target, status=206))
    journal.begin("retry", CLOUD).end(UpstreamStatus("no", backend="openai", status=500))
    assert [each.status for each in journal.attempts()] == [None, 206, 500]


def test_a_stream_that_ends_with_an_error_event_keeps_the_status_it_began_with() -> None:
    journal = Journal(MovableClock())
    line = journal.begin("primary", CLOUD)
    line.begun(answer(CLOUD))
    line.end(UpstreamStatus("no", backend="openai", status=500))
    [attempt] = journal.attempts()
    assert (attempt.status, attempt.error) == (200, "UpstreamStatus")


def test_errors_have_their_class_and_cancellations_a_word() -> None:
    journal = Journal(MovableClock())
    journal.begin("primary", LOCAL).end(Overloaded("full", retry_after_s=1))
    journal.begin("fallback", CLOUD).end(asyncio.CancelledError())
    journal.begin("hedge", CLOUD).cancel()
    journal.begin("retry", CLOUD).end()
    errors = [each.error for each in journal.attempts()]
    assert errors == ["Overloaded", "Cancelled", "Cancelled", None]


def test_only_the_first_end_counts() -> None:
    journal = Journal(MovableClock())
    line = journal.begin("primary", LOCAL)
    line.end(Overloaded("full", retry_after_s=1))
    line.cancel()
    line.end()
    assert journal.attempts()[0].error == "Overloaded"


def test_what_is_learned_before_the_end_is_kept() -> None:
    journal = Journal(MovableClock())
    line = journal.begin("primary", CLOUD)
    begun = answer(CLOUD)
    line.begun(begun)
    begun.measured.usage = Usage(prompt_tokens=3, completion_tokens=2)
    begun.measured.finish_reason = "length"
    line.cancel()
    begun.measured.usage = None
    [attempt] = journal.attempts()
    assert attempt.usage == Usage(prompt_tokens=3, completion_tokens=2)
    assert attempt.finish_reason == "length"


def test_a_draft_is_measured_like_an_answer() -> None:
    journal = Journal(MovableClock())
    line = journal.begin("primary", LOCAL)
    measured = Measured(usage=Usage(prompt_tokens=3))
    line.drafted(measured)
    line.end()
    kept = Answer(target=LOCAL, status=200, headers=[], frames=nothing(), measured=measured)
    journal.answered(kept)
    [attempt] = journal.attempts()
    assert attempt.answered
    assert attempt.ttft_ms == 0.0
    assert attempt.usage == Usage(prompt_tokens=3)


def test_the_client_got_the_answer_and_whatever_went_on_from_it() -> None:
    journal = Journal(MovableClock())
    answers = [answer(LOCAL), answer(CLOUD), answer(CLOUD)]
    for each in answers:
        journal.begin("primary", each.target).begun(each)
    journal.went_on(answers[0], answers[2])
    assert [each.answered for each in journal.attempts()] == [False] * 3
    journal.answered(answers[0])
    assert [each.answered for each in journal.attempts()] == [True, False, True]
