"""What a rollout begins with, and why some cannot."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest
from msgspec.structs import replace

from reshore.errors import RouteConflict, RouteError
from reshore.evals.deciding import Deciders
from reshore.evals.rollouts.asked import StartRollout
from reshore.evals.rollouts.beginning import planned
from reshore.evals.rollouts.kept import Kept
from reshore.routing.world import World
from reshore.types import Side
from tests.evals.rollouts.driven import AGREEMENT, NAME, QUICK, world
from tests.routing.operated import ADA, opened, route


def plan(home: Path, wish: StartRollout = QUICK, *routes, known: World | None = None) -> Kept:
    state = opened(home, world=known or world())
    for each in routes:
        state.set(each, ADA)
    return planned(wish, state.in_force, lambda _: AGREEMENT, number=1, now_s=1.7e9)


def test_a_name_without_a_route_begins_where_it_goes_anyway(tmp_path: Path) -> None:
    kept = plan(tmp_path)
    assert (kept.base.policy, kept.base.local, kept.before) == ("cloud:openai", "tiny:latest", None)


def test_a_name_under_a_glob_gets_a_route_of_its_own(tmp_path: Path) -> None:
    kept = plan(tmp_path, QUICK, route("gpt-*", "cloud", cloud="openai/gpt-4o"))
    assert (kept.base.policy, kept.base.cloud, kept.before) == ("cloud", "openai/gpt-4o", None)
    assert kept.at_step(0).pattern == NAME


def test_a_glob_with_a_route_moves_as_a_whole(tmp_path: Path) -> None:
    wish = replace(QUICK, route="gpt-*")
    kept = plan(tmp_path, wish, route("gpt-*", "cloud"))
    assert kept.before is not None
    with pytest.raises(RouteError, match=r"has no route yet; set one .* `reshore route set 'o\*'"):
        plan(tmp_path, replace(QUICK, route="o*"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": "llama3.2"}, "'llama3.2' is not installed here; pull it first"),
        ({"steps": (50.0, 10.0)}, "steps must rise"),
        ({"guards": ("error_rate<=+0.01",)}, "nothing guards the answers"),
        ({"guards": ("net_winn>=0",)}, "did you mean 'net_win'"),
        ({"min_pairs": 0}, "at least one pair"),
        ({"compared": 0.0}, "without requests that both sides answer"),
        ({"to": "cloud", "model": ""}, "goes to cloud already"),
        ({"route": ""}, "a rollout needs the name"),
        ({"route": "text-embedding-3-small"}, "of two embeddings none is better"),
    ],
)
def test_what_cannot_work_is_refused_with_a_reason(tmp_path: Path, changes, says) -> None:
    with pytest.raises(RouteError, match=says):
        plan(tmp_path, replace(QUICK, **changes))


def test_without_a_check_that_decides_there_is_no_rollout(tmp_path: Path) -> None:
    now = opened(tmp_path, world=world()).in_force
    with pytest.raises(RouteError, match="no check and no judge can decide"):
        planned(QUICK, now, lambda _: Deciders(), number=1, now_s=1.7e9)


@pytest.mark.parametrize(
    ("to", "before", "models"),
    [
        ("local", "cloud", ["tiny:latest", NAME]),
        ("local", "fallback(cloud:openai/gpt-4o, cloud)", ["tiny:latest", "gpt-4o"]),
        ("cloud", "shadow(local, cloud, share=1%)", [NAME, "tiny"]),
    ],
)
def test_who_decides_is_asked_for_the_two_models_that_are_compared(
    tmp_path: Path, to: Side, before: str, models: list[str]
) -> None:
    state = opened(tmp_path, world=world())
    state.set(route(NAME, before, local="tiny"), ADA)
    asked: list[str] = []

    def deciders(found: Collection[str]) -> Deciders:
        asked.extend(found)
        return Deciders(unfit=("the judge is related",))

    wish = replace(QUICK, to=to, model="tiny:latest" if to == "local" else "")
    with pytest.raises(RouteError, match=r"counts \(the judge is related\); name the checks"):
        planned(wish, state.in_force, deciders, number=1, now_s=1.7e9)
    assert asked == models


def test_a_route_that_names_its_model_keeps_it(tmp_path: Path) -> None:
    named = route(NAME, "fallback(cloud, local:big)")
    with pytest.raises(RouteError, match="names whom it asks there already"):
        plan(tmp_path, QUICK, named)


def test_under_the_panic_switch_nothing_begins(tmp_path: Path) -> None:
    state = opened(tmp_path, world=world())
    state.panic("cloud", ADA)
    with pytest.raises(RouteError, match="the panic switch sends everything to the cloud side"):
        planned(QUICK, state.in_force, lambda _: AGREEMENT, number=1, now_s=1.7e9)


def test_it_begins_on_the_version_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(RouteConflict):
        plan(tmp_path, replace(QUICK, if_version=4))
    assert plan(tmp_path, replace(QUICK, if_version=0)).number == 1
