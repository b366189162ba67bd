"""`reshore route train` and `evaluate`: what can be said to them."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from msgspec import Struct

from reshore.cli.ledger_options import moment_ms, now
from reshore.cli.output import Json
from reshore.routing.learned import Reads

Compare = Annotated[
    list[Path] | None,
    typer.Option(
        "--compare", metavar="REPORT", help="A JSON report of `reshore compare` (repeatable)."
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME",
        help="Pairs of the ledger: a span (30d), a day or a time. Without --compare: 30d.",
    ),
]
Local = Annotated[str | None, typer.Option(metavar="MODEL", help="Only pairs of this local model.")]
Cloud = Annotated[
    str | None, typer.Option(metavar="MODEL", help="Only pairs of this model of an upstream.")
]
_LOOK_BACK = "30d"


class Wanted(Struct, frozen=True, kw_only=True):
    """Which pairs are meant.

    Attributes:
        route: None for those of all routes.
        since_ms: None where the ledger is not meant.
        local, cloud: the models; "" for those of the newest pair.
    """

    route: str | None
    since_ms: int | None
    reports: tuple[Path, ...]
    local: str
    cloud: str


class Training(Struct, frozen=True, kw_only=True):
    """What is to be trained, and whether it is to be live then."""

    name: str
    wanted: Wanted
    reads: Reads
    goal: str | None
    confidence: float
    live: bool
    force: bool
    why: str
    as_json: bool


def train(
    name: Annotated[str, typer.Argument(help="The router's; each training gives it a number.")],
    route: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="Pairs of this route alone; the one for --live."),
    ] = None,
    since: Since = None,
    compare: Compare = None,
    goal: Annotated[
        str | None,
        typer.Option(metavar="TARGET", help="What sets the threshold: quality>=98%, cloud<=20%."),
    ] = None,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="How sure the target is to hold.")
    ] = 0.95,
    reads: Annotated[
        Reads,
        typer.Option(help="prompt: for hybrid; answer: the local one too, for cascade."),
    ] = "prompt",
    local: Local = None,
    cloud: Cloud = None,
    live: Annotated[bool, typer.Option("--live", help="Let the route ask it from now on.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --live: even if it is worse than what is live.")
    ] = False,
    why: Annotated[str, typer.Option(metavar="TEXT", help="The reason, for the history.")] = "",
    as_json: Json = False,
) -> None:
    """Train a router on requests that both sides answered, and say what it is worth.

    For example `reshore route train support --route gpt-4o --goal "quality>=98%"`. Needs the extra
    `learn`. It is asked for nothing until a route names it, or with --live.
    """
    training = Training(
        name=name,
        wanted=_wanted(route, since, compare, local, cloud),
        reads=reads,
        goal=goal,
        confidence=confidence,
        live=live,
        force=force,
        why=why,
        as_json=as_json,
    )
    _work().train(training)


def evaluate(
    name: Annotated[str, typer.Argument(help="A trained router; of several numbers the newest.")],
    route: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="Pairs of this route alone; beside what it does now."),
    ] = None,
    since: Since = None,
    compare: Compare = None,
    local: Local = None,
    cloud: Cloud = None,
    as_json: Json = False,
) -> None:
    """Say what a router would be worth, on pairs that it was not trained on; nobody is asked."""
    _work().evaluate(name, _wanted(route, since, compare, local, cloud), as_json)


def _wanted(
    route: str | None,
    since: str | None,
    compare: list[Path] | None,
    local: str | None,
    cloud: str | None,
) -> Wanted:
    span = since if since or compare else _LOOK_BACK
    return Wanted(
        route=route,
        since_ms=moment_ms(span, now()) if span else None,
        reports=tuple(compare or ()),
        local=local or "",
        cloud=cloud or "",
    )


def _work() -> ModuleType:
    # By name: SQLAlchemy and NumPy take 120 ms, which no other command of routes has to wait for.
    return importlib.import_module("reshore.cli.learning")
