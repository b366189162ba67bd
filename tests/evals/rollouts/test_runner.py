"""Rollouts on a routing state: steps taken, ways back, operators, restarts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from reshore.errors import HistoryError, RouteError, RouteNotFound, ShuttingDown
from reshore.evals.rollouts.asked import Wish
from reshore.models.disk import write_atomic
from reshore.routing.snapshot import Note
from reshore.testing import MovableClock
from tests.evals.rollouts.driven import (
    AT_10,
    AT_100,
    DONE,
    NAME,
    QUICK,
    attempt,
    begun,
    driving,
    world,
)
from tests.routing.operated import config, opened, route

BOB = Note(author="bob", reason="an outage")
WISH = Wish(author="bob", why="lunch")


class Disk:
    """Takes no routes while it is full."""

    full = False

    def write(self, path: Path, body: bytes) -> None:
        if self.full and path.parent.name == "routes":
            raise OSError(28, "No space left on device")
        write_atomic(path, body)


async def test_it_begins_as_a_version_with_a_reason_and_evidence(tmp_path: Path) -> None:
    async with begun(tmp_path) as driven:
        made = driven.state.in_force.snapshot
        assert driven.policy == AT_10
        assert (made.number, made.author) == (1, "rollout")
        assert made.reason == "rollout 1 begun by ada: cheaper"
        assert made.evidence == {"rollout": 1}
        assert driven.happened == ["started"]
        shown = driven.shown()
        assert (shown.state, shown.share, shown.step, shown.began) == ("running", 10.0, 1, 1)


async def test_it_is_promoted_through_all_steps_and_finishes(tmp_path: Path) -> None:
    async with begun(tmp_path) as driven:
        driven.pairs("tie", 100)
        promoted = await driven.told("promoted")
        assert (promoted.share, promoted.version, driven.policy) == (100.0, 2, AT_100)
        made = driven.state.in_force.snapshot
        assert made.reason.startswith("promoted to 100 %; at 10 %: 0 wins,")
        assert made.evidence is not None
        assert made.evidence["ties"] == promoted.evidence["ties"] >= 20
        assert made.evidence["readings"][2]["kept"] is True
        driven.pairs("tie", 100)
        done = await driven.told("done")
        assert (done.version, driven.policy) == (3, DONE)
        assert driven.shown().versions == [2, 3]
        assert driven.runner.inbox.watched == frozenset()


async def test_once_done_less_is_compared_and_that_is_told(tmp_path: Path) -> None:
    async with begun(tmp_path, replace(QUICK, compared=1.0)) as driven:
        driven.pairs("tie", 100)
        await driven.told("promoted")
        driven.pairs("tie", 100)
        done = await driven.told("done")
        assert driven.policy == DONE
        assert done.why == driven.shown().note == "2 % of the requests go on being compared"
        made = driven.state.in_force.snapshot
        assert (made.author, made.reason[:14]) == ("rollout", "done, 2 % of t")
        assert made.evidence is not None
        assert made.evidence["ties"] == done.evidence["ties"] >= 20


async def test_what_compared_little_goes_on_with_it_when_it_is_done(tmp_path: Path) -> None:
    async with begun(tmp_path, replace(QUICK, compared=0.01)) as driven:
        driven.pairs("tie", 100)
        await driven.told("promoted")
        driven.pairs("tie", 100)
        done = await driven.told("done")
        assert (done.version, driven.policy) == (2, "shadow(local, cloud:openai, share=1%)")
        assert done.why == "1 % of the requests go on being compared"


async def test_an_end_that_cannot_be_written_comes_when_it_can(tmp_path: Path) -> None:
    disk = Disk()
    async with begun(tmp_path, write=disk.write) as driven:
        driven.pairs("tie", 100)
        await driven.told("promoted")
        disk.full = True
        driven.pairs("tie", 100)
        await driven.told("held up")
        assert (driven.policy, driven.shown().due[:5]) == (AT_100, "done,")
        disk.full = False
        await driven.clock.advance(2)
        await driven.told("done")
        assert driven.policy == DONE


async def test_bad_answers_bring_the_route_back_as_it_was(tmp_path: Path) -> None:
    async with driving(tmp_path) as driven:
        driven.set("fallback(cloud:openai, cloud:openai/gpt-4o)")
        before = driven.state.in_force.snapshot.routes
        await driven.runner.start(QUICK)
        driven.pairs("loss", 60)
        back = await driven.told("rolled back")
        assert driven.state.in_force.snapshot.routes == before
        assert (back.why, back.share) == ("net_win>=-0.3 is broken", 0.0)
        assert driven.state.in_force.snapshot.evidence["losses"] > 5


async def test_where_no_route_was_none_is_left(tmp_path: Path) -> None:
    async with begun(tmp_path) as driven:
        driven.pairs("loss", 60)
        await driven.told("rolled back")
        assert driven.policy == ""
        driven.pairs("win", 60)
        await driven.looked()
        assert driven.happened == ["started", "rolled back"]


async def test_errors_bring_it_back_without_any_pair(tmp_path: Path) -> None:
    async with begun(tmp_path) as driven:
        for _ in range(200):
            driven.requests("local", 1, error="Crashed")
            driven.requests("cloud", 1)
        back = await driven.told("rolled back")
        assert back.why == "error_rate<=+0.05 is broken"
        assert driven.policy == ""


async def test_slow_copies_bring_it_back(tmp_path: Path) -> None:
    """Copies that no client waited for tell of the side that nobody is sent to."""
    async with begun(tmp_path) as driven:
        driven.requests("cloud", 1000, ttft_ms=100.0)
        for number in range(1000):
            copy = attempt("local", role="shadow", ttft_ms=900.0)
            driven.runner.inbox.record_late(f"cloud-{number}", copy)
        back = await driven.told("rolled back")
        assert back.why == "ttft_p95<=1.5x is broken"


async def test_only_its_own_route_and_step_count(tmp_path: Path) -> None:
    async with begun(tmp_path) as driven:
        driven.pairs("loss", 60, route="gpt-4o")
        driven.pairs("loss", 60, source="compare")
        driven.pairs("loss", 60, arrived_s=driven.clock.wall() - 1)
        driven.requests("local", 300, error="Crashed", name="gpt-4o")
        await driven.looked()
        assert driven.shown().evidence.pairs == 0
        assert driven.happened == ["started"]


async def test_a_conversation_counts_once_in_a_step(tmp_path: Path) -> None:
    async with begun(tmp_path) as driven:
        driven.pairs("loss", 60, conversation="c1")
        driven.pairs("undecided", 3, conversation="c2")
        driven.pairs("win", 1, conversation="c2")
        await driven.looked()
        found = driven.shown().evidence
        assert (found.losses, found.wins, found.undecided) == (1, 1, 3)


async def test_a_rollout_to_the_cloud_counts_the_other_way_round(tmp_path: Path) -> None:
    async with driving(tmp_path) as driven:
        driven.set("local:tiny")
        await driven.runner.start(replace(QUICK, to="cloud", model=""))
        driven.pairs("win", 60)
        back = await driven.told("rolled back")
        assert back.evidence["losses"] > 5
        assert driven.policy == "local:tiny"


async def test_a_step_lasts_as_long_as_it_must(tmp_path: Path) -> None:
    async with begun(tmp_path, replace(QUICK, hold_s=600.0)) as driven:
        driven.pairs("tie", 100)
        await driven.looked()
        assert driven.happened == ["started"]
        assert driven.shown().missing == ["the step lasts another 10 min at least"]
        await driven.clock.advance(599)
        await driven.looked()
        assert driven.happened == ["started"]
        await driven.clock.advance(2)
        await driven.told("promoted")


# What people do


async def test_a_pause_holds_it_and_resuming_goes_on(tmp_path: Path) -> None:
    async with begun(tmp_path) as driven:
        paused = await driven.runner.pause(NAME, WISH)
        assert (paused.state, paused.note) == ("paused", "paused by bob: lunch")
        driven.pairs("tie", 100)
        await driven.looked()
        assert driven.shown().evidence.ties == 100
        await driven.runner.resume(NAME, WISH)
        await driven.told("promoted")
        assert driven.happened == ["started", "paused", "resumed", "promoted"]


async def test_a_paused_one_still_goes_back(tmp_path: Path) -> None:
    async with begun(tmp_path) as driven:
        await driven.runner.pause(NAME, WISH)
        driven.pairs("loss", 60)
        await driven.told("rolled back")
        assert driven.policy == ""


async def test_an_abort_brings_the_route_back(tmp_path: Path) -> None:
    async with begun(tmp_path) as driven:
        aborted = await driven.runner.abort(NAME, WISH)
        assert (aborted.state, aborted.note) == ("aborted", "aborted by bob: lunch")
        assert driven.policy == ""
        assert driven.state.in_force.snapshot.reason.startswith("rolled back, aborted by bob")
        with pytest.raises(RouteError, match="is aborted and cannot be paused; start another"):
            await driven.runner.pause(NAME, WISH)
        assert (await driven.runner.start(QUICK)).number == 2
        assert [each.number for each in driven.runner.all()] == [2, 1]


async def test_one_route_has_one_rollout(tmp_path: Path) -> None:
    async with begun(tmp_path) as driven:
        with pytest.raises(RouteError, match=f"a rollout of '{NAME}' is running already"):
            await driven.runner.start(QUICK)
        with pytest.raises(RouteNotFound, match="there is no rollout of 'gpt-4o'"):
            driven.runner.show("gpt-4o")


async def test_a_name_moves_with_its_glob_or_by_itself(tmp_path: Path) -> None:
    async with driving(tmp_path) as driven:
        driven.state.set(route("gpt-*", "cloud"), BOB)
        await driven.runner.start(replace(QUICK, route="gpt-*"))
        with pytest.raises(RouteError, match=r"a rollout of 'gpt-\*' moves 'gpt-4o-mini' as well"):
            await driven.runner.start(QUICK)


async def test_a_start_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    disk = Disk()
    async with driving(tmp_path, write=disk.write) as driven:
        disk.full = True
        with pytest.raises(HistoryError, match="No space left"):
            await driven.runner.start(QUICK)
        assert (driven.runner.all(), driven.policy) == ([], "")
        assert list((tmp_path / "rollouts").glob("*.json")) == []
        disk.full = False
        assert (await driven.runner.start(QUICK)).number == 1


async def test_what_cannot_be_written_is_done_when_it_can(tmp_path: Path) -> None:
    disk = Disk()
    async with begun(tmp_path, write=disk.write) as driven:
        disk.full = True
        driven.pairs("loss", 60)
        held = await driven.told("held up")
        assert "No space left" in held.why
        assert driven.policy == AT_10
        await driven.clock.advance(3)
        await driven.looked()
        assert driven.happened.count("held up") == 1
        disk.full = False
        await driven.clock.advance(2)
        await driven.told("rolled back")
        assert driven.policy == ""


# Others


async def test_it_gives_way_to_an_operator(tmp_path: Path) -> None:
    async with begun(tmp_path) as driven:
        driven.set("local:tiny")
        driven.pairs("loss", 60)
        aborted = await driven.told("aborted")
        assert "ada changed the route (version 2 is in force)" in aborted.why
        await driven.looked()
        assert driven.policy == "local:tiny"
        assert driven.state.in_force.snapshot.number == 2


async def test_it_gives_way_to_a_rollback(tmp_path: Path) -> None:
    async with begun(tmp_path) as driven:
        driven.pairs("tie", 100)
        await driven.told("promoted")
        driven.state.rollback(None, BOB)
        await driven.clock.advance(2)
        aborted = await driven.told("aborted")
        assert aborted.why.startswith("bob changed the route")
        assert driven.policy == AT_10


async def test_it_gives_way_to_the_file(tmp_path: Path) -> None:
    async with begun(tmp_path) as driven:
        driven.state.reload(config(tmp_path, routes={NAME: "cloud"}))
        await driven.clock.advance(2)
        aborted = await driven.told("aborted")
        assert aborted.why.startswith("reshore.toml changed the route")
        assert driven.policy == "cloud"


async def test_evidence_is_written_every_few_seconds(tmp_path: Path) -> None:
    file = tmp_path / "rollouts" / "000001.json"
    async with begun(tmp_path) as driven:
        driven.pairs("tie", 5)
        await driven.looked()
        before = file.read_bytes()
        await driven.clock.advance(6)
        await driven.looked()
        assert file.read_bytes() != before
        await driven.clock.advance(6)
        await driven.looked()
        written = file.stat().st_mtime_ns
        await driven.clock.advance(60)
        await driven.looked()
        assert file.stat().st_mtime_ns == written


async def test_other_routes_are_none_of_its_business(tmp_path: Path) -> None:
    async with begun(tmp_path) as driven:
        driven.state.set(route("gpt-4o", "cloud"), BOB)
        driven.pairs("tie", 100)
        await driven.told("promoted")
        assert [each.pattern for each in driven.state.in_force.snapshot.routes] == ["gpt-4o", NAME]


async def test_the_panic_switch_pauses_it(tmp_path: Path) -> None:
    async with begun(tmp_path) as driven:
        driven.state.panic("cloud", BOB)
        await driven.clock.advance(2)
        paused = await driven.told("paused")
        assert paused.why == "the panic switch sends everything to the cloud side"
        driven.pairs("loss", 60)
        await driven.looked()
        assert driven.shown().evidence.pairs == 0
        with pytest.raises(RouteError, match="cannot be resumed while the panic switch"):
            await driven.runner.resume(NAME, WISH)
        driven.state.panic(None, BOB)
        assert (await driven.runner.resume(NAME, WISH)).state == "running"
        driven.pairs("tie", 100)
        await driven.told("promoted")


# Restarts


async def test_a_restart_goes_on_with_what_was_known(tmp_path: Path) -> None:
    clock = MovableClock()
    async with begun(tmp_path, clock=clock) as driven:
        driven.pairs("tie", 10)
        driven.pairs("win", 1, conversation="c")
        await driven.looked()
    async with driving(tmp_path, clock=clock) as driven:
        found = driven.shown().evidence
        assert (found.ties, found.wins) == (10, 1)
        driven.pairs("win", 1, conversation="c")
        driven.pairs("tie", 60)
        await driven.told("promoted")
        assert driven.policy == AT_100


async def test_it_gives_way_to_what_was_changed_while_no_server_ran(tmp_path: Path) -> None:
    async with begun(tmp_path):
        pass
    opened(tmp_path, world=world()).set(route(NAME, "local:tiny"), BOB)
    async with driving(tmp_path) as driven:
        aborted = await driven.told("aborted")
        assert aborted.why.startswith("bob changed the route (version 2 is in force)")
        assert driven.policy == "local:tiny"


@pytest.mark.parametrize("verdict", ["tie", "loss"])
async def test_what_was_due_is_not_done_over_what_somebody_has_changed_since(
    tmp_path: Path, verdict: str
) -> None:
    disk = Disk()
    async with begun(tmp_path, write=disk.write) as driven:
        disk.full = True
        driven.pairs(verdict, 100)
        await driven.told("held up")
        assert driven.shown().due
    opened(tmp_path, world=world()).set(route(NAME, "local:tiny"), BOB)
    async with driving(tmp_path) as driven:
        await driven.told("aborted")
        assert (driven.policy, driven.shown().due) == ("local:tiny", "")
        assert driven.state.in_force.snapshot.number == 2


async def test_routes_have_rollouts_of_their_own(tmp_path: Path) -> None:
    async with begun(tmp_path) as driven:
        await driven.runner.start(replace(QUICK, route="gpt-4o"))
        driven.pairs("loss", 60, route="gpt-4o")
        back = await driven.told("rolled back")
        assert (back.route, driven.policy) == ("gpt-4o", AT_10)
        driven.pairs("tie", 200)
        done = await driven.told("done")
        assert (done.route, driven.policy) == (NAME, DONE)
        assert [each.state for each in driven.runner.all()] == ["rolled back", "done"]


async def test_who_asks_a_server_that_ends_is_told(tmp_path: Path) -> None:
    async with driving(tmp_path) as driven:
        pass
    with pytest.raises(ShuttingDown):
        await driven.runner.start(QUICK)


async def test_a_client_that_goes_away_leaves_a_start_to_its_end(tmp_path: Path) -> None:
    async with driving(tmp_path) as driven:
        asked = asyncio.create_task(driven.runner.start(QUICK))
        await asyncio.sleep(0)
        asked.cancel()
        await driven.told("started")
        assert driven.policy == AT_10
