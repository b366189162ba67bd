"""The routes in force: changes, rollbacks, the panic switch, and the file's table."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reshore.config import PrivacyConfig
from reshore.errors import (
    ConfigError,
    HistoryError,
    NoTarget,
    RouteConflict,
    RouteError,
    RouteNotFound,
)
from reshore.models.disk import write_atomic
from reshore.routing.history import History
from reshore.routing.snapshot import Note
from reshore.routing.state import RoutingState
from reshore.routing.world import World
from reshore.testing import MovableClock
from tests.routing.operated import ADA, config, opened, route, texts


def test_a_change_has_a_number_an_author_a_time_and_a_reason(tmp_path: Path) -> None:
    state = opened(tmp_path)
    changed = state.set(route("gpt-4o", "cloud"), ADA)
    assert changed.lines() == ["+ gpt-4o: cloud"]
    made = state.in_force.snapshot
    assert (made.number, made.author, made.reason) == (1, "ada", "to try it")
    assert made.time_s == MovableClock().wall()
    assert (state.in_force.view.number, texts(state)) == (1, {"gpt-4o": "cloud"})
    assert texts(opened(tmp_path)) == {"gpt-4o": "cloud"}


def test_who_has_decided_keeps_what_was_in_force(tmp_path: Path) -> None:
    state = opened(tmp_path)
    state.set(route("gpt-4o", "cloud"), ADA)
    before = state.in_force
    state.set(route("gpt-4o", "local"), ADA)
    assert before.view.table.match("gpt-4o") == route("gpt-4o", "cloud")
    assert (before.view.number, before.snapshot.number) == (1, 1)


def test_what_is_so_already_makes_no_version(tmp_path: Path) -> None:
    state = opened(tmp_path)
    state.set(route("gpt-4o", "cloud"), ADA)
    again = state.set(route("gpt-4o", "cloud"), ADA)
    assert (again.before, again.lines()) == (again.after, [])
    assert state.panic(None, ADA).after.number == 1
    assert state.rollback(1, ADA).after.number == 1


def test_a_change_for_another_version_is_refused(tmp_path: Path) -> None:
    state = opened(tmp_path)
    state.set(route("a"), ADA, if_version=0)
    for change in (
        lambda: state.set(route("b"), ADA, if_version=0),
        lambda: state.remove("a", ADA, if_version=0),
        lambda: state.panic("local", ADA, if_version=0),
        lambda: state.rollback(None, ADA, if_version=0),
    ):
        with pytest.raises(RouteConflict, match="version 1 of the routes is in force, not 0"):
            change()
    assert texts(state) == {"a": "local"}


def test_a_route_is_removed_by_its_pattern(tmp_path: Path) -> None:
    state = opened(tmp_path)
    state.set(route("gpt-*"), ADA)
    with pytest.raises(RouteNotFound):
        state.remove("gpt-4o", ADA)
    assert state.remove("gpt-*", ADA).lines() == ["- gpt-*: local"]
    assert texts(opened(tmp_path)) == {}


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ("cloud:azure", "There is no upstream 'azure'; configured are openai."),
        ("split(local=1, cloud:azure=1)", "There is no upstream 'azure'"),
    ],
)
def test_a_route_that_cannot_work_is_not_set(tmp_path: Path, policy: str, says: str) -> None:
    state = opened(tmp_path)
    with pytest.raises(RouteError, match=says):
        state.set(route("gpt-4o", policy), ADA)
    assert state.in_force.snapshot.number == 0


def test_embeddings_are_mixed_by_force_alone(tmp_path: Path) -> None:
    state = opened(tmp_path)
    mixed = route("text-embedding-3-small", "split(local:nomic-embed-text=1, cloud=1)")
    with pytest.raises(RouteError, match="cannot be compared"):
        state.set(mixed, ADA)
    state.set(mixed, ADA, force=True)
    [found] = opened(tmp_path).in_force.snapshot.routes
    assert found.mix_embeddings


# Rollback and panic


def _three(home: Path) -> RoutingState:
    state = opened(home)
    for policy in ("cloud", "split(local=10, cloud=90)", "local"):
        state.set(route("gpt-4o", policy), ADA)
    return state


def test_a_rollback_is_a_new_version_with_the_content_of_the_one_before(tmp_path: Path) -> None:
    state = _three(tmp_path)
    changed = state.rollback(None, Note(author="bob"))
    assert texts(state) == {"gpt-4o": "split(local=10, cloud=90)"}
    made = changed.after
    assert (made.number, made.parent, made.restores, made.author) == (4, 3, 2, "bob")
    assert made.reason == "rollback to version 2"


def test_rollbacks_go_further_back_and_never_to_what_was_rolled_back(tmp_path: Path) -> None:
    state = _three(tmp_path)
    assert [state.rollback(None, ADA).after.restores for _ in range(3)] == [2, 1, 0]
    assert texts(state) == {}
    with pytest.raises(RouteError, match="no version before"):
        state.rollback(None, ADA)
    state.rollback(3, ADA)
    assert texts(state) == {"gpt-4o": "local"}


def test_what_was_rolled_back_is_passed_over_after_a_later_change(tmp_path: Path) -> None:
    state = opened(tmp_path)
    for policy in ("cloud", "local"):
        state.set(route("gpt-4o", policy), ADA)
    state.rollback(None, ADA)
    state.set(route("gpt-4o", "hybrid(threshold=0.5)"), ADA)
    assert texts(state) == {"gpt-4o": "hybrid(threshold=0.5)"}
    state.rollback(None, ADA)
    assert texts(state) == {"gpt-4o": "cloud"}
    state.rollback(None, ADA)
    assert texts(state) == {}


def test_a_version_that_cannot_be_read_cannot_be_gone_back_to(tmp_path: Path) -> None:
    state = _three(tmp_path)
    (tmp_path / "routes" / "000002.json").write_text("?")
    with pytest.raises(HistoryError, match=r"000002\.json is damaged"):
        state.rollback(None, ADA)
    with pytest.raises(RouteNotFound, match="no version 7"):
        state.rollback(7, ADA)
    assert texts(state) == {"gpt-4o": "local"}
    state.rollback(1, ADA)
    assert texts(state) == {"gpt-4o": "cloud"}


def test_the_panic_switch_is_a_version_like_any_other(tmp_path: Path) -> None:
    state = _three(tmp_path)
    state.panic("cloud", ADA)
    assert state.in_force.view.override == "cloud"
    state.set(route("other"), ADA)
    assert opened(tmp_path).in_force.view.override == "cloud"
    state.rollback(None, ADA)
    state.rollback(None, ADA)
    assert (state.in_force.view.override, texts(state)) == (None, {"gpt-4o": "local"})


def test_nothing_is_sent_to_a_cloud_that_is_not_there(tmp_path: Path) -> None:
    state = opened(tmp_path, world=World())
    with pytest.raises(NoTarget, match="no upstream is configured"):
        state.panic("cloud", ADA)
    state.panic("local", ADA)
    assert state.in_force.view.override == "local"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(["cloud", "local", "hybrid", "panic"]), st.none())))
def test_a_rollback_undoes_the_last_change_that_was_not_undone(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str | None]
) -> None:
    """None: a rollback. The model is a stack, as every editor's undo is."""
    state = opened(tmp_path_factory.mktemp("home"))
    stack = [state.in_force.snapshot]
    for step in steps:
        if step is not None:
            now = state.in_force
            changed = (
                state.panic(None if now.view.override else "local", ADA)
                if step == "panic"
                else state.set(route("m", step), ADA)
            )
            if changed.after is not changed.before:
                stack.append(changed.after)
        elif len(stack) > 1:
            stack.pop()
            state.rollback(None, ADA)
        else:
            with pytest.raises(RouteError):
                state.rollback(None, ADA)
        assert state.in_force.snapshot.same_as(stack[-1])


# What cannot be written


def test_what_cannot_be_written_is_not_in_force(tmp_path: Path) -> None:
    full = False

    def write(path: Path, data: bytes) -> None:
        if full:
            raise OSError(28, "No space left on device")
        write_atomic(path, data)

    history = History(tmp_path / "routes", write)
    world = World(upstreams=("openai",))
    state = RoutingState(history, config(tmp_path), world, MovableClock())
    state.set(route("gpt-4o", "cloud"), ADA)
    full = True
    for change in (
        lambda: state.set(route("gpt-4o"), ADA),
        lambda: state.rollback(None, ADA),
        lambda: state.panic("local", ADA),
        lambda: state.reload(config(tmp_path, routes={"x": "local"})),
    ):
        with pytest.raises(HistoryError, match="No space left on device"):
            change()
    assert (texts(state), state.in_force.view.override) == ({"gpt-4o": "cloud"}, None)
    full = False
    assert state.rollback(None, ADA).after.number == 2


def test_a_full_disk_does_not_keep_the_files_routes_out_of_force(tmp_path: Path) -> None:
    full = True

    def write(path: Path, data: bytes) -> None:
        if full:
            raise OSError(28, "No space left on device")
        write_atomic(path, data)

    history, world = History(tmp_path / "routes", write), World(upstreams=("openai",))
    routes = config(tmp_path, routes={"gpt-4o": "cloud"})
    state = RoutingState(history, routes, world, MovableClock())
    assert (texts(state), state.in_force.snapshot.number) == ({"gpt-4o": "cloud"}, 0)
    assert "No space left on device" in state.file_problem
    full = False
    state.set(route("mini"), ADA)
    later = opened(tmp_path, routes={"gpt-4o": "cloud"})
    assert texts(later) == {"gpt-4o": "cloud", "mini": "local"}
    assert later.in_force.snapshot.number == 1


def test_changes_of_many_threads_come_one_after_the_other(tmp_path: Path) -> None:
    state = opened(tmp_path)

    def change(name: str) -> None:
        for _ in range(10):
            state.set(route(name, "cloud"), ADA)
            state.set(route(name, "local"), ADA)

    threads = [threading.Thread(target=change, args=(f"m{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts(state) == {f"m{i}": "local" for i in range(4)}
    versions = list(state.versions())
    assert [each.number for each in versions] == list(range(80, 0, -1))
    assert all(each.parent == each.number - 1 for each in versions)  # type: ignore[union-attr]


# The file


def test_the_table_of_the_file_is_the_first_version(tmp_path: Path) -> None:
    state = opened(tmp_path, routes={"gpt-4o": "hybrid", "ft:*": "cloud"})
    made = state.in_force.snapshot
    assert (made.number, made.author) == (1, "reshore.toml")
    assert texts(state) == {"ft:*": "cloud", "gpt-4o": "hybrid(threshold=0.5)"}


def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    routes = {"gpt-4o": "cloud"}
    opened(tmp_path, routes=routes)
    assert opened(tmp_path, routes=routes).in_force.snapshot.number == 1
    assert opened(tmp_path).in_force.snapshot.number == 2  # the table was taken out of the file


def test_no_restart_undoes_a_change_or_a_rollback(tmp_path: Path) -> None:
    routes = {"gpt-4o": "cloud"}
    opened(tmp_path, routes=routes).set(route("gpt-4o", "local"), ADA)
    state = opened(tmp_path, routes=routes)
    assert texts(state) == {"gpt-4o": "local"}
    state.rollback(0, ADA)
    assert texts(opened(tmp_path, routes=routes)) == {}


def test_a_table_that_has_changed_is_a_new_version_and_replaces_all_routes(tmp_path: Path) -> None:
    opened(tmp_path, routes={"gpt-4o": "cloud"}).set(route("by-hand"), ADA)
    state = opened(tmp_path, routes={"gpt-4o": "local"})
    assert (state.in_force.snapshot.number, texts(state)) == (3, {"gpt-4o": "local"})
    state.rollback(None, ADA)
    assert texts(state) == {"by-hand": "local", "gpt-4o": "cloud"}


def test_a_file_without_routes_says_nothing_about_those_that_were_set(tmp_path: Path) -> None:
    opened(tmp_path).set(route("by-hand"), ADA)
    assert texts(opened(tmp_path)) == {"by-hand": "local"}


@pytest.mark.parametrize(
    ("routes", "says"),
    [
        ({"gpt-4o": "clod"}, r'routes\."gpt-4o".*Did you mean cloud\?'),
        ({"gpt-4o": "cloud:azure"}, r'routes\."gpt-4o": There is no upstream'),
    ],
)
def test_a_broken_table_keeps_the_version_before(
    tmp_path: Path, routes: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        opened(tmp_path, routes=routes)  # there is no version that could be kept
    opened(tmp_path, routes={"gpt-4o": "cloud"})
    state = opened(tmp_path, routes=routes)
    assert texts(state) == {"gpt-4o": "cloud"}
    assert 'routes."gpt-4o"' in state.file_problem


def test_a_reload_takes_everything_over_or_nothing(tmp_path: Path) -> None:
    state = opened(tmp_path, routes={"gpt-4o": "cloud"}, aliases={"a": "one"})
    secret = PrivacyConfig(names=("secret-*",))
    with pytest.raises(ConfigError, match="gpt-4o"):
        state.reload(
            config(tmp_path, routes={"gpt-4o": "clod"}, aliases={"a": "two"}, privacy=secret)
        )
    with pytest.raises(ConfigError, match="privacy"):
        state.reload(config(tmp_path, privacy=PrivacyConfig(patterns=("(",))))
    now = state.in_force
    assert (now.view.table.alias("a"), now.world.privacy.reads_texts) == ("one", False)
    state.reload(
        config(
            tmp_path,
            routes={"gpt-4o": "local"},
            aliases={"a": "two"},
            privacy=PrivacyConfig(patterns=("x",)),
        )
    )
    now = state.in_force
    assert (now.view.table.alias("a"), now.aliases.resolve("a")) == ("two", "two")
    assert now.world.privacy.reads_texts
    assert texts(state) == {"gpt-4o": "local"}


def test_damaged_files_are_told_and_do_not_keep_a_server_from_starting(tmp_path: Path) -> None:
    _three(tmp_path)
    (tmp_path / "routes" / "000003.json").write_text("?")
    state = opened(tmp_path)
    assert texts(state) == {"gpt-4o": "split(local=10, cloud=90)"}
    assert "000003.json is damaged" in state.warnings[0]
    assert state.set(route("x"), ADA).after.number == 4
    assert opened(tmp_path).warnings == ()


def test_what_a_route_was_is_put_back_without_asking_whether_it_can_work(tmp_path: Path) -> None:
    gone = route("gpt-4o", "cloud:gone")
    with pytest.raises(RouteError, match="no upstream 'gone'"):
        opened(tmp_path).set(gone, ADA)
    state = opened(tmp_path)
    assert state.put_back("gpt-4o", gone, ADA).after.number == 1
    assert texts(state) == {"gpt-4o": "cloud:gone"}
    with pytest.raises(RouteConflict):
        state.put_back("gpt-4o", None, ADA, if_version=7)
    assert state.put_back("gpt-4o", None, ADA, if_version=1).after.routes == ()
    assert state.put_back("gpt-4o", None, ADA).after.number == 2
