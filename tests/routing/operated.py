"""A routing state on a disk of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reshore.config import Config
from reshore.routing.history import History
from reshore.routing.parsing import parse_policy
from reshore.routing.policy import Route
from reshore.routing.snapshot import Note
from reshore.routing.state import RoutingState
from reshore.routing.world import World
from reshore.testing import MovableClock

ADA = Note(author="ada", reason="to try it")


def config(home: Path, **sections: Any) -> Config:
    """Settings of which only `[routes]`, `[aliases]` and `[privacy]` matter here."""
    return Config(home=home, **sections)


def opened(home: Path, *, world: World | None = None, **sections: Any) -> RoutingState:
    """The state as a process finds it that starts now."""
    return RoutingState(
        History(home / "routes"),
        config(home, **sections),
        world or World(upstreams=("openai",)),
        MovableClock(),
    )


def route(pattern: str, policy: str = "local", **more: Any) -> Route:
    return Route(pattern=pattern, policy=parse_policy(policy), **more)


def texts(state: RoutingState) -> dict[str, str]:
    """The policies in force, as `decide` would find them."""
    return {each.pattern: each.text for each in state.in_force.view.table.routes}
