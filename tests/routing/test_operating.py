"""What operators are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from reshore.errors import RouteError
from reshore.routing.history import History
from reshore.routing.operating import Operator, Panic, Rollback, SetRoute, Wish, asking_of
from reshore.routing.snapshot import Snapshot
from reshore.routing.world import World
from tests.routing.operated import ADA, opened, route


def operator(home: Path, **sections: object) -> Operator:
    return Operator(opened(home, **sections))


def test_every_version_says_what_it_changed(tmp_path: Path) -> None:
    operate = operator(tmp_path, routes={"a": "cloud"})
    operate.set("b", SetRoute(policy="local", why="to try it", author="ada"))
    operate.panic(Panic(side="local"))
    operate.rollback(Rollback(why="enough"))
    operate.remove("b", Wish())
    assert [(each.number, each.changes) for each in operate.history()] == [
        (5, ["- b: local"]),
        (4, ["~ panic switch: all local -> off"]),
        (3, ["~ panic switch: off -> all local"]),
        (2, ["+ b: local"]),
        (1, ["+ a: cloud"]),
    ]
    rolled = operate.history(limit=1, before=5)[0]
    assert (rolled.number, rolled.restores, rolled.reason) == (4, 2, "enough")
    assert [each.in_force for each in operate.history()] == [True] + [False] * 4


def test_a_version_that_was_never_in_force_is_told_as_that(tmp_path: Path) -> None:
    operator(tmp_path, routes={"a": "cloud"})
    folder = tmp_path / "routes"
    History(folder).append(Snapshot(number=2, parent=1))
    (folder / "current").write_text("1\n")  # as a crash leaves it between the two writes
    operate = operator(tmp_path, routes={"a": "cloud"})
    operate.set("b", SetRoute(policy="local"))
    problems = {each.number: each.problem for each in operate.history()}
    assert problems == {3: "", 2: "never in force", 1: ""}
    assert operate.show().version.parent == 1


def test_a_damaged_version_is_named_in_the_history(tmp_path: Path) -> None:
    operate = operator(tmp_path)
    for policy in ("local", "cloud", "hybrid"):
        operate.set("a", SetRoute(policy=policy))
    (tmp_path / "routes" / "000002.json").write_text("?")
    newest, damaged, oldest = operate.history()
    assert (newest.number, newest.changes, newest.problem) == (3, [], "")
    assert "000002.json is damaged" in damaged.problem
    assert (oldest.number, oldest.changes) == (1, ["+ a: local"])


def test_what_does_not_work_any_more_is_shown_and_can_still_be_gone_back_to(
    tmp_path: Path,
) -> None:
    state = opened(tmp_path)
    state.set(route("a", "cloud"), ADA)
    state.set(route("a", "local"), ADA)
    state = opened(tmp_path, world=World())
    operate = Operator(state)
    change = operate.rollback(Rollback())
    assert change.changes == ["~ a: local -> cloud"]
    assert change.warnings[0].startswith("a: The route goes to the cloud, but no upstream")
    assert list(operate.show().problems) == ["a"]


def test_a_model_that_is_not_installed_yet_is_warned_of(tmp_path: Path) -> None:
    world = World(upstreams=("openai",), installed=lambda name: name == "here")
    operate = Operator(opened(tmp_path, world=world))
    assert operate.set("a", SetRoute(policy="split(local=1, cloud=1)", local="here")).warnings == []
    change = operate.set("a", SetRoute(policy="fallback(local:small, cloud)"))
    assert change.warnings == [
        "a: 'small' is not installed here: `reshore pull small`, or name another model with "
        "`--local`."
    ]
    assert operate.set("b*", SetRoute(policy="local")).warnings == []
    assert list(operate.show().problems) == ["a"]


@pytest.mark.parametrize(
    ("name", "policy", "says"),
    [
        ("", "local", "needs the name"),
        ("x" * 257, "local", "at most 256"),
        ("\x1b[2J", "local", "control character"),
        ("a", "local:" + "m" * 4096, "at most 4096"),
    ],
)
def test_what_can_be_no_name_and_no_policy_is_refused(
    tmp_path: Path, name: str, policy: str, says: str
) -> None:
    with pytest.raises(RouteError, match=says):
        operator(tmp_path).set(name, SetRoute(policy=policy))


def test_a_reason_is_one_line(tmp_path: Path) -> None:
    operate = operator(tmp_path)
    operate.set("a", SetRoute(policy="local", why="first\nsecond " + "w" * 1000))
    [past] = operate.history()
    assert past.reason.startswith("first second w")
    assert len(past.reason) == 500


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"messages": []}, "chat"),
        ({"messages": [], "input": "x"}, "chat"),
        ({"input": "x"}, "embedding"),
        ({"prompt": "x"}, "completion"),
        ({}, "chat"),
    ],
)
def test_what_a_body_asks_for_is_seen_from_its_fields(body: dict[str, object], kind: str) -> None:
    assert asking_of(body).kind == kind


def test_fields_of_the_wrong_type_are_none() -> None:
    asking = asking_of({"model": 3, "user": ["u"]})
    assert (asking.name, asking.user, asking.header("x")) == ("", "", None)
