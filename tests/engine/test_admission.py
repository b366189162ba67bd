"""The line of one model: order, weights, bounds."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.engine.admission import Line, Waiter
from reshore.errors import Overloaded, ShuttingDown
from reshore.testing import fake_model


def waiter(weight: int = 1) -> Waiter[str]:
    return Waiter(fake_model(), weight=weight, keep_alive_s=None, since_s=0.0)


async def test_a_request_whose_caller_has_gone_is_passed_over() -> None:
    line: Line[str] = Line(9)
    gone, stays = waiter(), waiter()
    line.join(gone, room=False)
    line.join(stays, room=False)
    gone.granted.cancel()
    assert line.next_for(1, 1) is stays


async def test_everybody_in_the_line_hears_why_it_ended() -> None:
    line: Line[str] = Line(9)
    both = [waiter(), waiter()]
    for one in both:
        line.join(one, room=None)
    line.fail(ShuttingDown("bye"))
    assert not line
    for one in both:
        with pytest.raises(ShuttingDown):
            await one.granted


@given(times=st.lists(st.floats(0, 1e6), max_size=20), waiting=st.integers(0, 50))
def test_the_time_to_try_again_is_between_one_second_and_two_minutes(
    times: list[float], waiting: int
) -> None:
    async def check() -> None:
        line: Line[str] = Line(waiting)
        for seconds in times:
            line.served(seconds)
        for _ in range(waiting):
            line.join(waiter(), room=False)
        with pytest.raises(Overloaded) as caught:
            line.join(waiter(), room=False)
        assert 1 <= caught.value.retry_after_s <= 120

    asyncio.run(check())


@given(weights=st.lists(st.integers(1, 9), max_size=20), slots=st.integers(1, 4))
def test_everybody_is_served_in_order_and_never_over_the_slots(
    weights: list[int], slots: int
) -> None:
    async def check() -> None:
        line: Line[str] = Line(99)
        waiters = [waiter(weight) for weight in weights]
        for one in waiters:
            line.join(one, room=False)
        served: list[Waiter[str]] = []
        while line:
            free = slots
            while one := line.next_for(free, slots):
                free -= min(one.weight, slots)
                served.append(one)
            assert 0 <= free < slots
        assert served == waiters

    asyncio.run(check())
