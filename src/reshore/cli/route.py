"""`reshore route`: who answers a name; every change is a version that can be gone back from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from reshore.cli.failure import ExitCode, Failure
from reshore.cli.operated import login_name, operations
from reshore.cli.output import Json, note, print_json
from reshore.cli.route_learning import evaluate, train
from reshore.cli.route_output import (
    print_change,
    print_explained,
    print_history,
    print_route,
    print_routes,
)
from reshore.errors import RouteError
from reshore.routing.operating import Panic, SetRoute, Wish
from reshore.routing.parsing import parse_policy_words
from reshore.types import Side

Name = Annotated[str, typer.Argument(help="A model's name as clients send it, or a glob of names.")]
Why = Annotated[str, typer.Option(metavar="TEXT", help="The reason, for the history.")]
IfVersion = Annotated[
    int | None,
    typer.Option(metavar="N", help="Change nothing unless version N is in force."),
]

_SIDES: dict[str, Side | None] = {"local": "local", "cloud": "cloud", "normal": None}


def set_route(
    name: Name,
    policy: Annotated[
        list[str],
        typer.Argument(
            help="local, cloud, split, fallback, hedge, hybrid, cascade or shadow, with arguments."
        ),
    ],
    why: Why = "",
    local: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The model of a bare `local`.")
    ] = None,
    cloud: Annotated[
        str | None,
        typer.Option(metavar="UPSTREAM[/MODEL]", help="What a bare `cloud` means."),
    ] = None,
    pins: Annotated[
        bool | None,
        typer.Option("--pins/--no-pins", help="Whether clients may choose the side by a header."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Mix embeddings of several models in one name.")
    ] = False,
    if_version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Set who answers a name, or the names of a glob.

    For example `reshore route set gpt-4o-mini split local=10,cloud=90 --why "a tenth"`. It is in
    force for the next request. What is left out stays as the route has it.
    """
    wish = SetRoute(
        policy=_policy(policy),
        local=local,
        cloud=cloud,
        pins=pins,
        force=force,
        why=why,
        author=login_name(),
        if_version=if_version,
    )
    with operations() as routes:
        print_change(routes.set(name, wish), as_json)


def show(
    name: Annotated[
        str | None, typer.Argument(help="A name that clients send; without one, all routes.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the routes in force, and what is wrong with them."""
    with operations() as routes:
        shown = routes.show()
    if name is None:
        print_routes(shown, as_json)
    else:
        print_route(shown, name, as_json)


def history(
    limit: Annotated[int, typer.Option(metavar="N", min=0, help="How many; 0: all.")] = 20,
    as_json: Json = False,
) -> None:
    """List versions, newest first: who changed what, when and why."""
    with operations() as routes:
        print_history(routes.history(limit), as_json)


def diff(
    old: Annotated[int, typer.Argument(metavar="A", help="A version.")],
    new: Annotated[
        int | None, typer.Argument(metavar="[B]", help="Another one; without it, that in force.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what leads from version A to version B."""
    with operations() as routes:
        found = routes.diff(old, routes.show().version.number if new is None else new)
    if as_json:
        print_json(found)
        return
    for line in found.changes:
        print(line)
    if not found.changes:
        note(f"versions {found.old} and {found.new} do the same")


def remove(name: Name, why: Why = "", if_version: IfVersion = None, as_json: Json = False) -> None:
    """Remove a route.

    Its names are answered as if there had never been one.
    """
    wish = Wish(why=why, author=login_name(), if_version=if_version)
    with operations() as routes:
        print_change(routes.remove(name, wish), as_json)


def turn_all(
    side: Annotated[str, typer.Argument(metavar="local|cloud|normal", help="Where to.")],
    why: Why = "",
    if_version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Panic switch: send everything to one side; `normal` ends it.

    Whatever the routes say. What privacy rules keep on this machine stays there.
    """
    if side not in _SIDES:
        raise Failure(ExitCode.USAGE, f"'{side}' is no side; write local, cloud or normal")
    wish = Panic(side=_SIDES[side], why=why, author=login_name(), if_version=if_version)
    with operations() as routes:
        print_change(routes.panic(wish), as_json)


def explain(
    name: Annotated[
        str | None, typer.Argument(help="The model's name as a client sends it.")
    ] = None,
    prompt: Annotated[str | None, typer.Argument(help="What it is asked.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A whole request as JSON; `-` for standard input."),
    ] = None,
    pin: Annotated[
        str | None, typer.Option(metavar="local|cloud", help="As if the client pinned its side.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="The field `user` of the request.")] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:VALUE", help="A header of the request (repeatable)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say who would answer a request, and why; nobody is asked."""
    if pin not in (None, "local", "cloud"):
        raise Failure(ExitCode.USAGE, f"--pin is local or cloud, not '{pin}'")
    body = _request(name, prompt, file)
    if user is not None:
        body["user"] = user
    side: Side | None = "local" if pin == "local" else "cloud" if pin else None
    with operations() as routes:
        print_explained(routes.explain(body, side, dict(map(_header, header or ()))), as_json)


COMMANDS = {
    "set": set_route,
    "show": show,
    "history": history,
    "diff": diff,
    "remove": remove,
    "all": turn_all,
    "explain": explain,
    "train": train,
    "evaluate": evaluate,
}


def _policy(words: list[str]) -> str:
    """The text form of a policy as it is typed; what is wrong with it is the command line's."""
    try:
        return str(parse_policy_words(*words))
    except RouteError as error:
        raise Failure(ExitCode.USAGE, str(error)) from error


def _request(name: str | None, prompt: str | None, file: Path | None) -> dict[str, Any]:
    if file is None:
        if name is None:
            raise Failure(ExitCode.USAGE, "name a model, or give a request with --file")
        return {"model": name, "messages": [{"role": "user", "content": prompt or ""}]}
    body = _read(file)
    if name is not None:
        body["model"] = name
    return body


def _read(file: Path) -> dict[str, Any]:
    data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Failure(ExitCode.USAGE, f"--file: {file} is no JSON object: {error}") from error


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise Failure(ExitCode.USAGE, f"--header: '{text}' is not NAME:VALUE")
    return name.strip().lower(), value.strip()
