"""Who leaves when a model needs room: the pure decision."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.engine.base import LaunchPlan
from reshore.engine.eviction import Evict, Occupant, Room, find_room
from reshore.errors import OutOfMemory


def plan(context_length: int, slots: int, weights: int) -> LaunchPlan:
    return LaunchPlan(
        context_length=context_length,
        slots=slots,
        batch=1,
        micro_batch=1,
        threads=1,
        gpu_layers=0,
        flash_attention=None,
        kv_cache_type="f16",
        embedding=False,
        pooling=None,
        weights_bytes=weights,
        kv_bytes=0,
        compute_bytes=0,
    )


def plan_for(budget: int) -> LaunchPlan:
    """10 bytes of weights, 10 a slot of full length up to four; one short slot for 5."""
    if budget >= 20:
        return plan(1000, min(4, (budget - 10) // 10), budget)
    if budget >= 15:
        return plan(500, 1, budget)
    raise OutOfMemory("too big", model="m")


def occupant(
    key: int, memory: int, *, used: float = 0.0, evictable: bool = True, leaving: bool = False
) -> Occupant:
    return Occupant(
        key=key, memory_bytes=memory, evictable=evictable, leaving=leaving, last_used_s=used
    )


def test_room_is_taken_without_evicting_even_if_only_fewer_slots_fit() -> None:
    assert find_room(plan_for, 20, [occupant(1, 100)], 0) == Room(plan_for(20))


def test_a_shorter_context_is_no_reason_to_spare_an_idle_engine() -> None:
    assert find_room(plan_for, 15, [occupant(1, 10)], 0) == Evict((1,))


def test_a_shorter_context_is_taken_when_nothing_better_can_be_had() -> None:
    assert find_room(plan_for, 15, [], 0) == Room(plan_for(15))


def test_the_least_recently_used_leave_first_and_only_as_many_as_needed() -> None:
    residents = [occupant(1, 10, used=3), occupant(2, 10, used=1), occupant(3, 10, used=2)]
    assert find_room(plan_for, 10, residents, 0) == Evict((2,))
    assert find_room(plan_for, 0, residents, 0) == Evict((2, 3))


def test_an_engine_whose_leaving_would_not_help_stays() -> None:
    residents = [occupant(1, 1, used=1), occupant(2, 50, used=2)]
    assert find_room(plan_for, 5, residents, 0) == Evict((2,))


def test_busy_engines_are_waited_for() -> None:
    assert find_room(plan_for, 5, [occupant(1, 50, evictable=False)], 0) == Evict(())


def test_nobody_else_leaves_while_enough_is_already_leaving() -> None:
    residents = [occupant(1, 50, evictable=False, leaving=True), occupant(2, 50)]
    assert find_room(plan_for, 5, residents, 0) == Evict(())


def test_the_limit_of_engines_counts_like_memory() -> None:
    residents = [occupant(1, 1, used=2), occupant(2, 1, used=1)]
    assert find_room(plan_for, 1000, residents, 2) == Evict((2,))
    assert find_room(plan_for, 1000, residents, 3) == Room(plan_for(1000))


def test_what_cannot_fit_even_alone_is_refused() -> None:
    with pytest.raises(OutOfMemory):
        find_room(plan_for, 4, [occupant(1, 10, evictable=False)], 0)


occupants = st.lists(
    st.builds(
        Occupant,
        key=st.integers(),
        memory_bytes=st.integers(0, 40),
        evictable=st.booleans(),
        leaving=st.just(False),
        last_used_s=st.floats(0, 9),
    ),
    unique_by=lambda one: one.key,
    max_size=6,
)


@given(free=st.integers(0, 60), residents=occupants, limit=st.integers(0, 4))
def test_never_evicts_a_busy_engine_nor_one_too_many(
    free: int, residents: list[Occupant], limit: int
) -> None:
    try:
        room = find_room(plan_for, free, residents, limit)
    except OutOfMemory:
        assert free + sum(one.memory_bytes for one in residents) < 15
        return
    if isinstance(room, Room):
        assert not limit or len(residents) < limit
        return
    victims = [one for one in residents if one.key in room.keys]
    assert all(one.evictable for one in victims)
    for spared in victims:
        rest = [one for one in residents if one not in victims or one is spared]
        freed = free + sum(one.memory_bytes for one in victims if one is not spared)
        assert not isinstance(find_room(plan_for, freed, rest, limit), Room)
