"""Versions of the routes as values: changes, differences, and the form that JSON has."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.config import RouteConfig
from reshore.errors import ConfigError, RouteNotFound
from reshore.routing.parsing import parse_policy
from reshore.routing.policy import Local, Route
from reshore.routing.snapshot import (
    Note,
    Snapshot,
    Written,
    differences,
    numbered,
    restored,
    table_digest,
    unwritten,
    with_override,
    with_route,
    with_table,
    without_route,
    written,
)
from tests.routing.policies import names, policies


def route(pattern: str, policy: str = "local", **more: object) -> Route:
    return Route(pattern=pattern, policy=parse_policy(policy), **more)  # type: ignore[arg-type]


routes = st.builds(
    Route,
    pattern=names,
    policy=policies(2),
    local=st.just("") | names,
    cloud=st.just("") | names,
    pins=st.booleans(),
    mix_embeddings=st.booleans(),
)
snapshots = st.builds(
    Snapshot,
    number=st.integers(0, 10**6),
    time_s=st.floats(0, 1e10),
    author=st.text(max_size=20),
    reason=st.text(max_size=20),
    routes=st.lists(routes, max_size=3, unique_by=lambda each: each.pattern).map(
        lambda found: tuple(sorted(found, key=lambda each: each.pattern))
    ),
    override=st.sampled_from([None, "local", "cloud"]),
    parent=st.integers(0, 10**6),
    restores=st.none() | st.integers(0, 10**6),
    imported=st.none() | st.text("0123456789abcdef", max_size=64),
    evidence=st.none() | st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)),
)


@given(snapshots)
def test_what_is_written_reads_back_the_same(snapshot: Snapshot) -> None:
    data = msgspec.json.encode(written(snapshot))
    assert unwritten(msgspec.json.decode(data, type=Written)) == snapshot


def test_the_form_is_stable() -> None:
    snapshot = Snapshot(number=3, routes=(route("gpt-4o", "split(local=1, cloud=9)", local="m"),))
    assert msgspec.to_builtins(written(snapshot)) == {
        "number": 3,
        "time_s": 0.0,
        "author": "",
        "reason": "",
        "parent": 0,
        "restores": None,
        "imported": None,
        "override": None,
        "routes": {
            "gpt-4o": {
                "policy": "split(local=1, cloud=9)",
                "local": "m",
                "cloud": "",
                "pins": True,
                "mix_embeddings": False,
            }
        },
    }


def test_a_version_without_evidence_is_written_as_before_there_was_any() -> None:
    form = msgspec.json.encode(written(Snapshot(number=1)))
    assert b"evidence" not in form
    assert unwritten(msgspec.json.decode(form, type=Written)).evidence is None


def test_evidence_belongs_to_the_version_that_rests_on_it() -> None:
    note = Note(author="rollout", evidence={"pairs": 200})
    first = numbered(Snapshot(), note, number=1, parent=0, time_s=1.0)
    assert first.evidence == {"pairs": 200}
    later = numbered(with_override(first, "cloud"), Note(), number=2, parent=1, time_s=2.0)
    assert later.evidence is None


def test_a_policy_that_cannot_be_read_names_its_route() -> None:
    form = written(Snapshot(routes=(route("gpt-4o"),)))
    form.routes["gpt-4o"] = RouteConfig(policy="locale")
    with pytest.raises(ConfigError, match=r'routes\."gpt-4o".*Did you mean local\?'):
        unwritten(form)


@given(st.permutations(["b", "a", "ft:*", "gpt-4o"]))
def test_the_order_of_changes_is_not_in_the_result(patterns: list[str]) -> None:
    snapshot = Snapshot()
    for pattern in patterns:
        snapshot = with_route(snapshot, route(pattern))
    assert [each.pattern for each in snapshot.routes] == ["a", "b", "ft:*", "gpt-4o"]


def test_a_route_takes_the_place_of_the_one_of_its_name() -> None:
    snapshot = with_route(with_route(Snapshot(), route("a")), route("a", "cloud"))
    assert [each.text for each in snapshot.routes] == ["cloud"]


def test_a_route_that_is_not_there_cannot_be_removed() -> None:
    snapshot = with_route(Snapshot(), route("gpt-4o"))
    with pytest.raises(RouteNotFound, match="no route 'gpt'; set are gpt-4o"):
        without_route(snapshot, "gpt")
    assert without_route(snapshot, "gpt-4o").routes == ()


def test_every_kind_of_difference_has_its_line() -> None:
    old = Snapshot(routes=(route("a"), route("b", "cloud"), route("same")))
    new = Snapshot(
        routes=(route("b", "cloud", pins=False), route("c", local="m"), route("same")),
        override="cloud",
    )
    assert list(differences(old, new)) == [
        "~ panic switch: off -> all cloud",
        "- a: local",
        "~ b: cloud -> cloud [no pins]",
        "+ c: local [local m]",
    ]


@given(snapshots, snapshots)
def test_there_is_a_difference_exactly_where_two_do_not_do_the_same(
    one: Snapshot, other: Snapshot
) -> None:
    assert (list(differences(one, other)) == []) == one.same_as(other)


def test_a_rollback_brings_content_back_and_remembers_whose_it_was() -> None:
    first = Snapshot(number=1, routes=(route("a"),), imported="old")
    now = Snapshot(number=4, routes=(route("b"),), override="cloud", imported="new")
    back = restored(now, first)
    assert (back.routes, back.override, back.restores) == (first.routes, None, 1)
    assert restored(now, msgspec.structs.replace(back, number=5)).restores == 1


def test_what_was_imported_last_outlives_a_rollback() -> None:
    back = restored(Snapshot(number=2, imported="new"), Snapshot(number=1, imported="old"))
    assert back.imported == "new"


def test_a_change_after_a_rollback_is_no_rollback() -> None:
    back = restored(Snapshot(number=2), Snapshot(number=1))
    assert with_route(back, route("a")).restores is None
    assert with_override(back, "local").restores is None
    assert with_table(back, (), "digest").restores is None


def test_a_table_replaces_all_routes_and_leaves_the_panic_switch() -> None:
    snapshot = Snapshot(routes=(route("a"),), override="local")
    changed = with_table(snapshot, (route("b"),), "digest")
    assert [each.pattern for each in changed.routes] == ["b"]
    assert (changed.override, changed.imported) == ("local", "digest")


def test_only_the_content_of_a_table_is_in_its_digest() -> None:
    short = {"a": "local", "b": "cloud"}
    spelt_out = {"b": RouteConfig(policy="cloud", pins=True), "a": RouteConfig(policy="local")}
    assert table_digest(short) == table_digest(spelt_out)


@pytest.mark.parametrize(
    "other",
    [
        {"a": "local"},
        {"a": "local", "b": "local"},
        {"a": "local", "c": "cloud"},
        {"a": "local", "b": RouteConfig(policy="cloud", pins=False)},
        {},
    ],
)
def test_any_change_of_content_changes_the_digest(other: dict[str, str | RouteConfig]) -> None:
    assert table_digest(other) != table_digest({"a": "local", "b": "cloud"})


def test_the_route_of_a_pattern_is_found_by_its_spelling() -> None:
    snapshot = Snapshot(routes=(Route(pattern="gpt-*", policy=Local()),))
    assert snapshot.route("gpt-*") is not None
    assert snapshot.route("gpt-4o") is None
