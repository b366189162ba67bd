"""The simulation of rollouts: few runs here, a thousand in `python -m bench.rollout`."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bench.rollout import (
    AT_EVERY_LIMIT,
    LATE_LOSS,
    LEAST_LOSS,
    LOSS,
    NO_DIFFERENCE,
    WORLDS,
    figure,
    run,
)
from reshore.routing.guards import parse_guard
from reshore.routing.rollout_plan import Plan

PLAN = Plan(route="*")
# Margins that need a tenth of the pairs.
WIDE = replace(
    PLAN,
    steps=(10.0, 100.0),
    guards=tuple(
        parse_guard(text) for text in ("error_rate<=+0.01", "ttft_p95<=1.2x", "net_win>=-0.1")
    ),
)


def test_the_figures_that_were_asked_for_come_first():
    assert list(WORLDS)[:2] == ["rollout.false_rollback", "rollout.false_promotion"]


async def test_a_loss_may_begin_when_the_new_side_has_more_to_do():
    late, plan = replace(LATE_LOSS, net_win=-0.19), replace(WIDE, steps=(10.0, 25.0, 100.0))
    ended = await run(late, 3, plan)
    assert (ended.state, ended.wrong) == ("rolled back", False)
    assert ended.pairs > 200


async def test_the_same_seed_is_the_same_rollout():
    assert await run(NO_DIFFERENCE, 1, WIDE) == await run(NO_DIFFERENCE, 1, WIDE)


async def test_alike_it_is_promoted_to_the_end():
    ended = await run(NO_DIFFERENCE, 2, WIDE)
    assert (ended.state, ended.wrong) == ("done", False)


async def test_a_clear_loss_is_rolled_back():
    ended = await run(replace(LOSS, net_win=-0.19), 3, WIDE)
    assert (ended.state, ended.wrong) == ("rolled back", False)


async def test_a_promotion_in_spite_of_a_loss_is_counted():
    ended = await run(replace(LOSS, net_win=0.1), 4, WIDE)
    assert ended.wrong
    assert figure([ended])["rate"] == 1.0


async def test_slow_answers_and_errors_are_rolled_back():
    slow = await run(replace(NO_DIFFERENCE, slower=2.0), 5, PLAN)
    failing = await run(replace(NO_DIFFERENCE, new_errors=0.2), 6, PLAN)
    assert slow.state == failing.state == "rolled back"


@pytest.mark.slow
@pytest.mark.parametrize(
    "world",
    [
        NO_DIFFERENCE,
        replace(LOSS, net_win=-0.16),
        replace(AT_EVERY_LIMIT, net_win=-0.1),
        replace(LEAST_LOSS, net_win=-0.1),
    ],
    ids=["no difference", "loss", "at every limit", "at the margin"],
)
async def test_wrong_ends_are_as_rare_as_alpha_says(world):
    """100 rollouts of each kind, looked at all the time: 0.05, and two standard errors."""
    wide = replace(world, most_pairs=2000)
    runs = [await run(wide, seed, WIDE) for seed in range(100)]
    assert figure(runs)["rate"] <= 0.05 + 2 * (0.05 * 0.95 / 100) ** 0.5
