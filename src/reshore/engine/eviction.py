"""Which idle engines must go so that another model can be loaded: a pure decision.

The rule. Engines may live together as long as memory and `max_loaded_models` allow. A newcomer
accepts fewer slots so as to fit beside the others, but not a shorter context length: how long a
prompt may be must not depend on who happens to be loaded. When it does not fit, the engines that
were used least recently leave, only as many as needed; a busy engine never leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from reshore.engine.base import LaunchPlan
from reshore.errors import OutOfMemory

PlanFor = Callable[[int], LaunchPlan]


class Occupant(Struct, frozen=True, kw_only=True):
    """An engine that takes room now.

    Attributes:
        key: the pool's own number for it.
        memory_bytes: main memory that comes free when it ends.
        evictable: idle and ready, so that it may be ended.
        leaving: already on its way out; its room comes free without further doing.
        last_used_s: when its last request ended, on the pool's clock.
    """

    key: int
    memory_bytes: int
    evictable: bool
    leaving: bool
    last_used_s: float


class Room(Struct, frozen=True):
    """There is room now, for an engine as planned."""

    plan: LaunchPlan


class Evict(Struct, frozen=True):
    """There will be room when these and those already leaving have ended; none: only wait."""

    keys: tuple[int, ...]


def find_room(
    plan_for: PlanFor, free_bytes: int, occupants: Sequence[Occupant], limit: int
) -> Room | Evict:
    """Decide how a model gets the room it needs.

    Args:
        plan_for: the launcher's plan for the model within so many bytes; raises OutOfMemory.
        free_bytes: what may be used now.
        occupants: all engines that are there.
        limit: how many engines may be there, 0 for no limit.

    Raises:
        OutOfMemory: the model does not fit even when everything else has gone.
    """
    everything = free_bytes + sum(occupant.memory_bytes for occupant in occupants)
    wanted = plan_for(everything).context_length

    def fits(gone: Sequence[Occupant]) -> LaunchPlan | None:
        if limit and len(occupants) - len(gone) >= limit:
            return None
        budget = free_bytes + sum(occupant.memory_bytes for occupant in gone)
        try:
            plan = plan_for(budget)
        except OutOfMemory:
            return None
        return plan if plan.context_length >= wanted else None

    if plan := fits(()):
        return Room(plan)
    leaving = [occupant for occupant in occupants if occupant.leaving]
    idle = sorted((o for o in occupants if o.evictable), key=lambda occupant: occupant.last_used_s)
    for count in range(len(idle) + 1):
        if fits([*leaving, *idle[:count]]):
            return Evict(_needed(idle[:count], lambda kept: bool(fits([*leaving, *kept]))))
    return Evict(())


def _needed(
    victims: Sequence[Occupant], enough: Callable[[Sequence[Occupant]], bool]
) -> tuple[int, ...]:
    """The victims without those whose leaving changes nothing, sparing the lately used first."""
    kept = list(victims)
    for victim in reversed(victims):
        without = [other for other in kept if other is not victim]
        if enough(without):
            kept = without
    return tuple(victim.key for victim in kept)
